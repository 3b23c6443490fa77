// The life of the access token, counted down without asking the provider again.
const life = document.querySelector("[data-left]");
if (life) {
  const end = performance.now() + Number(life.dataset.left) * 1000;
  const bar = document.querySelector("progress");
  const show = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    life.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    bar.value = left;
    life.classList.toggle("over", left === 0);
  };
  show();
  setInterval(show, 1000);
}
