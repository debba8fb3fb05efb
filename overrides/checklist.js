// The ticks of the checklist stay in this browser, by the rule that each line leads to. Only its page loads this file,
// after site.js.
const items = [...document.querySelectorAll(".task-list-item")].map((line) => ({
  box: line.querySelector("input"),
  text: line.textContent,
  rule: line.querySelector("a"),
}));
const kept = JSON.parse(localStorage.getItem("ticks") ?? "[]");
for (const { box, rule } of items) box.checked = kept.includes(rule.textContent);
const save = () => {
  const ticked = items.filter(({ box }) => box.checked).map(({ rule }) => rule.textContent);
  localStorage.setItem("ticks", JSON.stringify(ticked));
};
document.addEventListener("change", save);

const said = statusLine();
const copy = async () => {
  const lines = items
    .filter(({ box }) => !box.checked)
    .map(({ text, rule }) => `- [ ] ${text.replace(rule.textContent, "").trim()} (${rule.href})\n`);
  await navigator.clipboard.writeText(lines.join(""));
  said.textContent = `${lines.length} lines copied`;
};
const reset = () => {
  for (const { box } of items) box.checked = false;
  save();
  said.textContent = "";
};
const tools = document.createElement("p");
tools.className = "ticks";
tools.append(button("Copy what is open", copy), button("Reset the ticks", reset), said);
document.querySelector("article h2").before(tools);
