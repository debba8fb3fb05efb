// What the theme leaves to us.

// What is pasted into the search is an error message: its signs are no search operators.
document.addEventListener("paste", (event) => {
  const input = event.target;
  if (!input.matches(".md-search__input")) return;
  event.preventDefault();
  const text = event.clipboardData.getData("text").replace(/["*+:^~-]+/g, " ");
  input.setRangeText(text, input.selectionStart, input.selectionEnd, "end");
  input.dispatchEvent(new Event("keyup")); // what Material's search listens to
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
  for (const [label, data] of Object.entries(forms)) {
    const button = document.createElement("button");
    button.textContent = label;
    button.onclick = async (click) => {
      click.stopPropagation();
      const blobs = Object.entries(data).map(([type, text]) => [type, new Blob([text], { type })]);
      await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(blobs))]);
      button.textContent = "Copied";
      setTimeout(() => menu.remove(), 1000);
    };
    menu.append(button);
  }
  heading.after(menu);
  setTimeout(() => menu.firstChild.focus({ preventScroll: true })); // after the browser has gone to the heading
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelector(".copy-link")?.remove();
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
  for (const bar of document.querySelectorAll(".md-code__nav")) bar.role = "presentation";
  for (const box of document.querySelectorAll(".task-list-item input"))
    box.ariaLabel = box.closest("li").textContent.trim();
  for (const box of document.querySelectorAll(".md-typeset :is(pre > code, table, .md-typeset__scrollwrap)"))
    reach.observe(box);
});
