// Works for the server's challenge beside the page, and sends the answer.
(() => {
  "use strict";

  const form = document.getElementById("proof");
  for (const shown of document.querySelectorAll("[role=status], progress")) shown.hidden = false;
  const worker = new Worker(form.dataset.worker);
  worker.onmessage = (event) => {
    form.elements.proof_of_work.value = event.data;
    form.submit();
  };
  worker.postMessage({ challenge: form.dataset.challenge, bits: Number(form.dataset.bits) });
})();
