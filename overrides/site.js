// What the theme leaves to us. `make record` writes this file and early.js into docs/assets, without their comments.

// Material's search listens to keys; a text can also be pasted with the mouse, dropped or spoken.
document.addEventListener("input", ({ target }) => {
  if (target.matches(".md-search__input")) target.dispatchEvent(new Event("keyup"));
});

// A link that asks the reader opens the search. Without this script it leads to the symptoms.
document.querySelector(".ask")?.addEventListener("click", (event) => {
  event.preventDefault();
  document.querySelector(".md-header__button[for=__search]").click();
});

// The link to a page's copy as Markdown copies it.
document.querySelector(".copy-page")?.addEventListener("click", async (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const link = event.target;
  const text = fetch(link.href).then(async (page) => new Blob([await page.text()], { type: "text/plain" }));
  await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
  const said = statusLine();
  link.after(said);
  said.textContent = "Copied";
});

// The link sign of a heading offers its link in three forms.
document.addEventListener("click", (event) => {
  document.querySelector(".copy-link")?.remove();
  const sign = event.target.closest(".headerlink");
  if (!sign || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const { heading, title, url } = linkOf(sign);
  const forms = {
    "Copy the address": { "text/plain": url },
    "Copy as Markdown": { "text/plain": `[${title}](${url})` },
    "Copy as a titled link": { "text/html": anchor(title, url), "text/plain": url },
  };
  const menu = document.createElement("div");
  menu.className = "copy-link";
  menu.role = "group";
  menu.ariaLabel = "Copy the link";
  const said = statusLine();
  for (const [label, data] of Object.entries(forms)) {
    const copy = async (click) => {
      click.stopPropagation();
      const blobs = Object.entries(data).map(([type, text]) => [type, new Blob([text], { type })]);
      await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(blobs))]);
      said.textContent = "Copied";
      sign.focus({ preventScroll: true });
      setTimeout(() => menu.remove(), 1000);
    };
    menu.append(button(label, copy));
  }
  menu.append(said);
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    menu.remove();
    sign.focus({ preventScroll: true });
  });
  heading.after(menu);
  setTimeout(() => menu.firstChild.focus({ preventScroll: true })); // after the browser has gone to the heading
});

// A rule is linked by its page; a heading below it by page and heading.
function linkOf(sign) {
  const heading = sign.parentElement;
  const rule = document.querySelector("h1");
  if (heading === rule) return { heading, title: textOf(rule), url: location.origin + location.pathname };
  return { heading, title: `${textOf(rule)}: ${textOf(heading)}`, url: sign.href };
}

function textOf(heading) {
  const parts = [...heading.childNodes].filter((node) => !node.matches?.(".headerlink"));
  return parts.map((node) => node.textContent).join("").trim();
}

function anchor(title, url) {
  const link = document.createElement("a");
  link.href = url;
  link.textContent = title;
  return link.outerHTML;
}

// What the theme leaves without a name, or out of reach of the keyboard. Material's script adds more of both, and
// early.js sends the event again when it has.
const reach = new ResizeObserver((boxes) => {
  for (const { target } of boxes) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
});

addEventListener("DOMContentLoaded", () => {
  for (const nav of document.querySelectorAll(".md-nav[aria-labelledby]")) {
    nav.ariaLabel = nav.closest(".md-nav__item").querySelector(".md-nav__link").textContent.trim();
    nav.removeAttribute("aria-labelledby");
  }
  for (const { parentElement: heading } of document.querySelectorAll(".headerlink")) heading.ariaLabel = textOf(heading);
  for (const { parentElement: block, textContent: name } of document.querySelectorAll(".highlight > .filename"))
    Object.assign(block, { role: "group", ariaLabel: name });
  for (const bar of document.querySelectorAll(".md-code__nav")) bar.role = "presentation";
  for (const box of document.querySelectorAll(".task-list-item input"))
    box.ariaLabel = box.closest("li").textContent.trim();
  for (const box of document.querySelectorAll(".md-typeset :is(pre > code, table, .md-typeset__scrollwrap)"))
    reach.observe(box);
});

function button(label, act) {
  const made = document.createElement("button");
  made.textContent = label;
  made.onclick = act;
  return made;
}

// What it comes to hold is read aloud.
function statusLine() {
  const made = document.createElement("span");
  made.role = "status";
  return made;
}
