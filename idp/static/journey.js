// The pages work without this file: it saves the customer seconds.
(() => {
  "use strict";

  const SENT_FOR_MS = 10_000; // then a lost request may be sent again
  const FIRST_WAIT_MS = 1_500;
  const LONGEST_WAIT_MS = 60_000;
  const PAUSE_MS = 1_200; // after which nothing more is typed
  const forms = [...document.forms];
  const unsent = (form) => {
    delete form.dataset.sent;
    form.querySelector("button").removeAttribute("aria-busy");
  };

  for (const form of forms) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      form.dataset.sent = "yes";
      form.querySelector("button").setAttribute("aria-busy", "true");
      setTimeout(unsent, SENT_FOR_MS, form);
    });
  }
  addEventListener("pageshow", (event) => event.persisted && forms.forEach(unsent));

  // What was wrong is forgotten when it is mended; a code's tries stay in sight.
  for (const field of document.querySelectorAll("[aria-invalid]:not(#code)")) {
    const mended = () => {
      document.getElementById(field.getAttribute("aria-describedby")).remove();
      field.removeAttribute("aria-describedby");
      field.removeAttribute("aria-invalid");
    };
    field.addEventListener("input", mended, { once: true });
  }

  const phone = document.getElementById("phone");
  if (phone) {
    phone.addEventListener("blur", () => {
      const typed = phone.value.trim();
      const number = typed.replace(/[\s()\-.]/g, "").match(/^(?:\+?7|8)?(9\d{2})(\d{3})(\d{2})(\d{2})$/);
      phone.value = number ? `+7 ${number[1]} ${number[2]}-${number[3]}-${number[4]}` : typed;
    });
  }

  const code = document.getElementById("code");
  if (code) {
    const length = Number(code.dataset.length);
    const cells = code.nextElementSibling;
    let submitted = false;
    let pause;
    // While a call is waited for, a message with the longer code may arrive as well.
    const lengths = [code.maxLength, length];
    const mark = () => {
      const shown = code.value.length > length ? code.maxLength : length;
      while (cells.children.length < shown) cells.append(document.createElement("span"));
      while (cells.children.length > shown) cells.lastElementChild.remove();
      document.documentElement.style.setProperty("--code-length", shown);
      const next = Math.min(code.value.length, shown - 1);
      [...cells.children].forEach((cell, index) => cell.classList.toggle("next", index === next));
    };
    const submit = () => {
      if (submitted) return;
      submitted = true;
      code.form.requestSubmit();
    };
    const fill = (digits, whole) => {
      const value = digits.slice(0, code.maxLength);
      if (code.value !== value) code.value = value; // assigning moves the caret
      mark();
      clearTimeout(pause);
      // The end of a call may be the beginning of the longer code.
      if (value.length === code.maxLength || (whole && lengths.includes(value.length))) submit();
      else if (value.length === length) pause = setTimeout(submit, PAUSE_MS);
    };
    const cleaned = (text) => {
      const digits = text.replace(/\D/g, "");
      for (const size of lengths) {
        const whole = text.match(new RegExp(`(?:^|\\D)(\\d{${size}})(?!\\d)`));
        if (whole) return whole[1];
      }
      // The whole number that has called.
      return length < code.maxLength && digits.length > code.maxLength ? digits.slice(-length) : digits;
    };

    mark();
    code.addEventListener("input", () => fill(code.value.replace(/\D/g, ""), false));
    code.addEventListener("paste", (event) => {
      const digits = cleaned(event.clipboardData.getData("text"));
      event.preventDefault();
      if (digits) fill(digits, true);
    });

    // The page is made anew when the code comes another way, as long as nothing has been typed.
    const { delivery, deliveryHref } = code.form.dataset;
    const watch = async (wait) => {
      if (submitted || wait > LONGEST_WAIT_MS) return;
      const answer = await fetch(deliveryHref).catch(() => null);
      const current = answer?.ok ? (await answer.json()).delivery : null;
      if (current && current !== delivery && !code.value) location.replace(location.pathname);
      else setTimeout(watch, wait, wait * 1.5);
    };
    setTimeout(watch, FIRST_WAIT_MS, FIRST_WAIT_MS * 1.5);

    if ("OTPCredential" in window) {
      const waiting = new AbortController();
      code.form.addEventListener("submit", () => waiting.abort());
      addEventListener("pagehide", () => waiting.abort());
      navigator.credentials
        .get({ otp: { transport: ["sms"] }, signal: waiting.signal })
        .then((received) => received && fill(cleaned(received.code), true))
        .catch(() => {}); // refused or aborted: the customer types the code
    }
  }

  const resend = document.querySelector("form[data-resend-after]");
  if (resend) {
    const button = resend.querySelector("button");
    const label = button.textContent;
    const ready = Date.now() + Number(resend.dataset.resendAfter) * 1000;
    const tick = () => {
      const seconds = Math.ceil((ready - Date.now()) / 1000);
      if (seconds <= 0) {
        clearInterval(timer);
        button.disabled = false;
        button.textContent = label;
        resend.querySelector("[role=status]").textContent = resend.dataset.ready;
        return;
      }
      const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      button.textContent = resend.dataset.wait.replace("{time}", time);
    };
    const timer = setInterval(tick, 1000);
    button.disabled = true;
    tick();
  }
})();
