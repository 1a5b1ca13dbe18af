"use strict";
(() => {
  const map = document.getElementById("product-map");
  if (!map) return;
  const dots = [...map.querySelectorAll("circle")];
  // An item's id and description; the trait and the events stand last.
  const names = dots.map((dot) => dot.firstElementChild.textContent.toLowerCase().split(" · ").slice(0, -2)
    .join(" ").split(/[^\p{L}\p{N}]+/u));
  const found = document.getElementById("found");
  const search = document.getElementById("search");
  const buttons = [...document.querySelectorAll("button[data-trait]")];
  const tip = document.getElementById("tip");

  const mark = (which) => {
    map.classList.toggle("some", which !== null);
    dots.forEach((dot, i) => dot.classList.toggle("on", which !== null && which(i)));
  };
  const look = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const trait = buttons.find((one) => one.getAttribute("aria-pressed") === "true");
    const in_trait = (i) => !trait || dots[i].dataset.t === trait.dataset.trait;
    const fits = (i) => in_trait(i) && words.every((word) => names[i].some((one) => one.startsWith(word)));
    mark(words.length || trait ? fits : null);
    const rows = dots.map((_, i) => i).filter((i) => words.length && fits(i));
    found.textContent = words.length ? `${rows.length.toLocaleString()} products` : "";
    const list = document.getElementById("matches");
    list.replaceChildren(...rows.slice(0, 12).map((i) => {
      const item = document.createElement("button");
      item.type = "button";
      item.textContent = dots[i].firstElementChild.textContent;
      item.onclick = () => mark((j) => j === i);
      return item;
    }));
  };
  search.addEventListener("input", look);
  buttons.forEach((one) => one.addEventListener("click", () => {
    const on = one.getAttribute("aria-pressed") !== "true";
    buttons.forEach((other) => other.setAttribute("aria-pressed", String(on && other === one)));
    look();
  }));
  map.addEventListener("mousemove", (event) => {
    const dot = event.target.closest("circle");
    tip.hidden = !dot;
    if (!dot) return;
    tip.textContent = dot.firstElementChild.textContent;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 350)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  });
  map.addEventListener("mouseleave", () => { tip.hidden = true; });
  document.documentElement.dataset.ready = "yes";
})();
