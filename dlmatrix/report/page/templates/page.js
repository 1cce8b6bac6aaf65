"use strict";
const root = document.documentElement;
const titles = JSON.parse(document.getElementById("titles").textContent);

// Shows one language, or one theme, and says on its buttons which. Nothing is kept after the page is closed.
function choose(name, value) {
  if (name === "lang") {
    root.lang = value;
    document.title = titles[value];
  } else if (value === "auto") {
    delete root.dataset.theme;
  } else {
    root.dataset.theme = value;
  }
  for (const button of document.querySelectorAll(`[data-${name}-is]`)) {
    button.setAttribute("aria-pressed", String(button.getAttribute(`data-${name}-is`) === value));
  }
}

for (const name of ["lang", "theme"]) {
  for (const button of document.querySelectorAll(`[data-${name}-is]`)) {
    button.addEventListener("click", () => choose(name, button.getAttribute(`data-${name}-is`)));
  }
}
choose("lang", navigator.language.startsWith("zh") ? "zh-Hans" : "en");

// A link to an env opens it.
function open_target() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
  }
}
addEventListener("hashchange", open_target);
open_target();

// What is printed is printed whole: everything is opened for it, and closed again.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((one) => { one.open = true; });
});
addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));

// The link holds result.json compressed; where the browser can, what is saved is the file as it was.
async function result_json() {
  const packed = Uint8Array.from(atob(download.href.split(",")[1]), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

const download = document.getElementById("download");
if (download && typeof DecompressionStream === "function") {
  download.addEventListener("click", async (event) => {
    event.preventDefault();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([await result_json()], { type: "application/json" }));
    link.download = "result.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  // Under the pointer, a figure tells where in result.json it is, and what is there exactly.
  let parsed;
  document.addEventListener("mouseover", async (event) => {
    const figure = event.target instanceof Element && event.target.closest("[data-from]:not([title])");
    if (figure) {
      parsed ??= result_json().then(JSON.parse);
      const place = pointer(figure);
      const value = place.split("/").slice(1).reduce((found, key) => found[key], await parsed);
      figure.title = `${value}\n${place}`;
    }
  });
}

// A figure's place: below that of the nearest element around it that has one, unless it is whole by itself.
function pointer(figure) {
  const from = figure.dataset.from;
  return from.startsWith("/") ? from : `${figure.closest("[data-at]").dataset.at}/${from}`;
}

// A table that sorts: each head is a button. Keys are numbers, or texts in which numbers count as such (gpu2, gpu10).
for (const table of document.querySelectorAll("table[data-sorts]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.key;
    const rows = [...table.tBodies[0].rows].sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
    const numbers = rows.every((row) => key(row) !== "" && !isNaN(key(row)));
    if (numbers) {
      rows.sort((a, b) => key(a) - key(b));
    }
    table.tBodies[0].append(...(down ? rows.reverse() : rows));
  }));
}
