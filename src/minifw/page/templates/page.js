"use strict";
// Everything can be read without this script: it shows one slide or state at a time, copies texts,
// and saves tables. It reads the page alone, and stores and sends nothing.

const said = document.getElementById("said");

// Says something to who listens to the page; the same words twice are said twice.
function say(text) {
  said.textContent = "";
  setTimeout(() => { said.textContent = text; }, 50);
}

// A box that has all of its content in view needs no stop on the way of the Tab key.
const boxes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const wide = target.scrollWidth > target.clientWidth + 1;
    const scrolls = wide || target.scrollHeight > target.clientHeight + 1;
    target.setAttribute("role", scrolls ? "region" : "group");
    if (scrolls) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const box of document.querySelectorAll('[role="region"]')) boxes.observe(box);

// ---------------------------------------------------------------------------- copying and saving

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

// The second way is for browsers that keep the clipboard from files; the last one leaves the text
// selected, for the reader's own keys.
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent.replaceAll("\u00a0", " "));
    return "Copied.";
  } catch {
    select(element);
    try {
      if (document.execCommand("copy")) return "Copied.";
    } catch { /* as if it were false */ }
    return "Selected: Ctrl+C or Command+C copies it.";
  }
}

for (const button of document.querySelectorAll("button.copy")) {
  const label = button.firstChild;
  const before = label.data;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const answer = await copy(document.getElementById(button.dataset.of));
    label.data = answer;
    say(answer);
    setTimeout(() => { label.data = before; }, 3000);
  });
}

// A cell of a CSV file. A table has the exact figure beside the one that people read; the two ends
// of an interval are parted by a space.
function cell(element) {
  const text = element.dataset.exact ?? element.textContent;
  const value = text === "–" ? "" : text;
  return /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

for (const button of document.querySelectorAll("button.download")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const rows = [...document.getElementById(button.dataset.of).rows];
    const lines = rows.map((row) => [...row.cells].map(cell).join(",") + "\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say(`${link.download} is saved.`);
  });
}

// -------------------------------------------------------------------------------- one at a time

for (const box of document.querySelectorAll(".slides")) {
  const slides = [...box.querySelectorAll(".slide")];
  const slider = box.querySelector("input[type=range]");
  const shown = box.querySelector("output");
  function show() {
    const now = slides[slider.valueAsNumber - 1];
    for (const slide of slides) slide.classList.toggle("now", slide === now);
    shown.textContent = now.dataset.label;
    slider.setAttribute("aria-valuetext", now.dataset.label);
  }
  box.classList.add("live");
  box.querySelector(".control").hidden = false;
  slider.addEventListener("input", show);
  show();
}

for (const box of document.querySelectorAll(".steps")) {
  const states = [...box.querySelectorAll(".state")];
  const lines = [...box.querySelectorAll(".code > li")];
  const code = box.querySelector(".lines");
  const control = box.querySelector(".control");
  const [first, back, forward] = control.querySelectorAll("button");
  const place = control.querySelector(".place");
  let at = 0;
  function go(to) {
    at = Math.min(states.length - 1, Math.max(0, to));
    const line = lines[Number(states[at].dataset.line)];
    for (const state of states) state.classList.toggle("now", state === states[at]);
    for (const each of lines) {
      each.classList.toggle("now", each === line);
      if (each === line) each.setAttribute("aria-current", "step");
      else each.removeAttribute("aria-current");
    }
    code.scrollTop = line.offsetTop - code.clientHeight / 3;
    place.textContent = `Step ${at + 1} of ${states.length}`;
    // A button that a reader has just pressed keeps the focus, so it is never `disabled`.
    for (const button of [first, back]) button.setAttribute("aria-disabled", String(at === 0));
    forward.setAttribute("aria-disabled", String(at === states.length - 1));
  }
  box.classList.add("live");
  control.hidden = false;
  box.querySelector(".states").setAttribute("aria-live", "polite");
  first.addEventListener("click", () => go(0));
  back.addEventListener("click", () => go(at - 1));
  forward.addEventListener("click", () => go(at + 1));
  const keys = {
    ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1),
    Home: () => go(0), End: () => go(states.length - 1),
  };
  control.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  go(0);
}
