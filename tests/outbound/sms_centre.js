// An SMS centre of npm's `smpp`. It is told what to do by lines of JSON on its standard input, and
// tells what it sees by lines of JSON on its standard output.
const fs = require("node:fs");
const readline = require("node:readline");
const smpp = require("smpp");

const tls = process.argv.length > 3
  ? { key: fs.readFileSync(process.argv[3]), cert: fs.readFileSync(process.argv[2]) }
  : {};
// How it behaves: `status` is that of its answers, `bind` and `submit` may be "hang" or "drop", and
// `submit` "rubbish" or "nack" too; only submissions from number `from` on are treated so.
let behaviour = { bind: "", bind_status: 0, submit: "", status: 0, from: 1, id: null };
const sessions = new Set();
let submissions = 0;

const tell = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));

function submitted(session, pdu) {
  submissions += 1;
  const shown = { ...pdu };
  if (pdu.short_message.udh) {
    shown.udh = pdu.short_message.udh.map((it) => it.toString("hex"));
  }
  shown.text = pdu.short_message.message;
  tell("submit_sm", shown);
  const special = submissions >= behaviour.from;
  if (special && behaviour.submit === "hang") return;
  if (special && behaviour.submit === "drop") return session.destroy();
  if (special && behaviour.submit === "rubbish") return session.socket.write("HTTP/1.1 400 No\r\n\r\n");
  if (special && behaviour.submit === "nack") {
    const nack = new smpp.PDU("generic_nack", { command_status: smpp.ESME_RINVCMDID });
    nack.sequence_number = pdu.sequence_number;
    return session.send(nack);
  }
  const message_id = behaviour.id ?? `m${submissions}`;
  const command_status = special ? behaviour.status : 0;
  session.send(pdu.response(command_status ? { command_status } : { message_id }));
}

const server = smpp.createServer(tls, (session) => {
  tell("connected");
  session.on("error", (error) => tell("error", { message: error.message }));
  session.on("close", () => {
    sessions.delete(session);
    tell("closed");
  });
  session.on("bind_transceiver", (pdu) => {
    tell("bind_transceiver", pdu);
    if (behaviour.bind === "hang") return;
    if (behaviour.bind === "drop") return session.destroy();
    sessions.add(session);
    session.send(pdu.response({ command_status: behaviour.bind_status, system_id: "centre" }));
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => {
    tell("unbind");
    session.send(pdu.response());
    session.close();
  });
  session.on("deliver_sm_resp", (pdu) => tell("deliver_sm_resp", pdu));
  session.on("submit_sm", (pdu) => submitted(session, pdu));
});

const commands = {
  behave: (wanted) => Object.assign(behaviour, wanted),
  deliver: (fields) => sessions.forEach((session) => session.deliver_sm(fields)),
  drop: () => sessions.forEach((session) => session.destroy()),
};
readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    for (const [command, given] of Object.entries(JSON.parse(line))) commands[command](given);
    tell("told");
  })
  .on("close", () => process.exit());

server.listen(0, "127.0.0.1", () => tell("listening", { port: server.address().port }));
