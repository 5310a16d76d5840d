"use strict";
// Every rater sees every video once, in an order that follows from the study and their name.

const about = JSON.parse(document.getElementById("about").textContent);
const at = (id) => document.getElementById(id);
const keys = about.questions.map((question) => question.key);
const header = ["study", "rater", "item", "position", ...keys];
let rater, order, answers, here, watched;

function numbers(text) {
  // FNV-1a for a seed, then mulberry32: even enough for shuffling, and the same in every browser.
  let seed = 2166136261;
  for (const unit of text) seed = Math.imul(seed ^ unit.codePointAt(0), 16777619);
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(items, next) {
  const mixed = [...items];
  for (let k = mixed.length - 1; k > 0; k--) {
    const other = Math.floor(next() * (k + 1));
    [mixed[k], mixed[other]] = [mixed[other], mixed[k]];
  }
  return mixed;
}

function kept() {
  // A page from a disk may not be allowed to remember anything; then closing it loses the answers.
  try {
    return JSON.parse(localStorage.getItem(`visemix ${about.study} ${rater}`)) || {};
  } catch {
    return {};
  }
}

function keep() {
  try {
    localStorage.setItem(`visemix ${about.study} ${rater}`, JSON.stringify(answers));
  } catch {
    return;
  }
}

function only(id) {
  for (const part of ["welcome", "rating", "done"]) at(part).hidden = part !== id;
  at("film").pause();
}

function begin() {
  rater = at("rater").value.trim();
  if (!rater) return;
  order = shuffled(about.items, numbers(`${about.study} ${rater}`));
  answers = kept();
  const first = order.findIndex((item) => !complete(item));
  if (first < 0) finish();
  else show(first);
}

function complete(item) {
  const given = answers[item.id] || {};
  return keys.every((key) => key in given);
}

function show(number) {
  here = number;
  const item = order[here];
  watched = complete(item);
  only("rating");
  at("place").textContent = `Video ${here + 1} of ${order.length}`;
  at("progress").max = order.length;
  at("progress").value = here;
  at("film").src = item.film;
  at("back").disabled = here === 0;
  for (const box of at("questions").querySelectorAll("input")) {
    const given = (answers[item.id] || {})[box.name];
    box.checked = given !== undefined && String(given) === box.value;
  }
  open();
  scrollTo(0, 0);
}

function open() {
  at("next").disabled = !(watched && complete(order[here]));
  at("hint").hidden = watched;
}

function answer(event) {
  const item = order[here];
  answers[item.id] = { ...answers[item.id], [event.target.name]: Number(event.target.value) };
  keep();
  open();
}

function finish() {
  only("done");
  at("count").textContent = `You rated ${order.length} videos. Please save the file and hand it over.`;
  at("csv").value = csv();
  at("save").href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  at("save").download = `answers-${about.study}-${rater.replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`;
}

function csv() {
  // A table program takes a text that begins so for a formula; a quote before it says that it is none.
  const text = (value) => (typeof value === "string" ? value.replace(/^(?=[=+\-@\t\r])/, "'") : String(value));
  const field = (value) => (/[",\n\r]/.test(text(value)) ? `"${text(value).replaceAll('"', '""')}"` : text(value));
  const rows = order.map((item, k) => [about.study, rater, item.id, k + 1, ...keys.map((key) => answers[item.id][key])]);
  return [header, ...rows].map((row) => row.map(field).join(",")).join("\n") + "\n";
}

for (const question of about.questions) {
  const box = document.createElement("fieldset");
  const legend = document.createElement("legend");
  const scale = document.createElement("div");
  legend.textContent = question.words;
  scale.className = "scale";
  for (const step of about.scale) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: question.key, value: step.value });
    const word = Object.assign(document.createElement("small"), { textContent: step.word });
    label.append(input, String(step.value).replace("-", "−"), word);
    scale.append(label);
  }
  box.append(legend, scale);
  at("questions").append(box);
}
at("questions").onchange = answer;
at("film").onended = () => {
  watched = true;
  open();
};
at("welcome").onsubmit = (event) => {
  event.preventDefault();
  begin();
};
at("rating").onsubmit = (event) => {
  event.preventDefault();
  if (here + 1 < order.length) show(here + 1);
  else finish();
};
at("back").onclick = () => show(here - 1);
at("again").onclick = () => show(order.length - 1);
