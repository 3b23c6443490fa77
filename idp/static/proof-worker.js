// Looks for the number with which SHA-256 (FIPS 180-4) of "challenge:number" begins with enough zero bits.
"use strict";

const K = new Uint32Array(64);
const START = new Uint32Array(8);

// FIPS 180-4 4.2.2, 5.3.3: the first 32 bits of the fractional parts of roots of the first primes.
for (let found = 0, candidate = 2; found < 64; candidate++) {
  let prime = true;
  for (let divisor = 2; divisor * divisor <= candidate; divisor++) prime &&= candidate % divisor !== 0;
  if (!prime) continue;
  if (found < 8) START[found] = (candidate ** (1 / 2) % 1) * 2 ** 32;
  K[found++] = (candidate ** (1 / 3) % 1) * 2 ** 32;
}

const W = new Uint32Array(64);

const rotated = (word, bits) => (word >>> bits) | (word << (32 - bits));

// One block of 64 bytes from `block` at `offset` into `state`.
const compress = (state, block, offset) => {
  for (let i = 0; i < 16; i++) {
    const at = offset + i * 4;
    W[i] = (block[at] << 24) | (block[at + 1] << 16) | (block[at + 2] << 8) | block[at + 3];
  }
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15];
    const y = W[i - 2];
    const s0 = rotated(x, 7) ^ rotated(x, 18) ^ (x >>> 3);
    const s1 = rotated(y, 17) ^ rotated(y, 19) ^ (y >>> 10);
    W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
};

onmessage = ({ data: { challenge, bits } }) => {
  const prefix = new TextEncoder().encode(`${challenge}:`);
  const whole = Math.floor(prefix.length / 64) * 64;
  const begun = START.slice();
  for (let offset = 0; offset < whole; offset += 64) compress(begun, prefix, offset);

  const rest = prefix.subarray(whole);
  const state = new Uint32Array(8);
  // All numbers of so many digits have one layout, in which the digits are counted up in place.
  for (let length = 1; ; length++) {
    const used = rest.length + length;
    const tail = new Uint8Array(used < 56 ? 64 : 128);
    tail.set(rest);
    tail.fill(0x30, rest.length, used);
    if (length > 1) tail[rest.length] = 0x31;
    tail[used] = 0x80;
    new DataView(tail.buffer).setUint32(tail.length - 4, (whole + used) * 8);
    let last = used - 1;
    while (last >= rest.length) {
      state.set(begun);
      for (let offset = 0; offset < tail.length; offset += 64) compress(state, tail, offset);
      if (state[0] >>> (32 - bits) === 0) {
        postMessage(`${challenge}:${String.fromCharCode(...tail.subarray(rest.length, used))}`);
        return;
      }
      for (last = used - 1; last >= rest.length && tail[last] === 0x39; last--) tail[last] = 0x30;
      if (last >= rest.length) tail[last]++;
    }
  }
};
