// A page is read without Material's script, so that script waits for the reader's first act, and its search for the
// first search. This file runs behind the header: it does what cannot wait, and hands over what happened meanwhile.
{
  const field = document.querySelector(".md-search__input");
  const searching = /[?&][hq]=/.test(location.search); // a search, or the words of one to mark
  document.documentElement.classList.replace("no-js", "js");

  // The index of the search and its worker come when the search is first used.
  const used = new Promise((resolve) => {
    field.addEventListener("focus", resolve);
    if (searching) resolve();
  });

  window.XMLHttpRequest = class extends XMLHttpRequest {
    open(method, address) {
      super.open(method, address);
      this.ready = address.endsWith("search_index.json") && used;
    }

    async send() {
      await this.ready;
      super.send();
    }
  };

  // What Prefect's log puts around a message.
  const AROUND = [
    /^.*\| *(DEBUG|INFO|WARNING|ERROR|CRITICAL) *\|/i,
    /\b(flow|task) run '[^']*' -/i,
    /\bfinished in state \w+\((?=['"])/i,
    /\b(flow|task) run encountered an exception[.:]?/i,
    /\bencountered exception during execution:/i,
  ];

  // A question is words, not lunr's operators, whether it is typed, pasted or comes with a link. A weight makes lunr
  // look for the stem of a word, and the last word, which may be half typed, counts as a beginning too.
  const QUERY = 2;
  const RESULT = 3;
  const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+(\.\d+)*/gu) ?? [];
  let asked = [];
  const inWords = ({ type, data }) => {
    if (type !== QUERY) return { type, data };
    const message = AROUND.reduce((text, around) => text.replace(around, " "), data);
    asked = wordsOf(/\p{L}/u.test(message) ? message : data);
    const words = [...new Set(asked)];
    const last = words.at(-1) ?? "";
    const begun = last.length > 3 || words.length === 1 ? [last] : [];
    return { type, data: [...words.map((word) => `${word}^5`), ...begun].join(" ") };
  };

  // Of two pages with a good section each, the one comes first of which more speaks of the question. Material counts the
  // title of a page up to five times; here it is one heading among those in the words of readers. A heading that says
  // what was pasted, word for word, is what the reader saw.
  const byPage = ({ type, data }) => {
    if (type !== RESULT) return { type, data };
    const isSaid = (title) => {
      const both = [asked, wordsOf(title.replace(/<[^>]*>|&#?\w+;/g, " "))].sort((a, b) => a.length - b.length);
      const [part, whole] = both.map((words) => ` ${words.join(" ")} `);
      return both[0].length > 2 && whole.includes(part);
    };
    const worth = (sections) => {
      const weight = ({ location, title }) => (isSaid(title) ? 4 : location.includes("#") ? 1 : 0.5);
      const scores = sections.map((section) => weight(section) * section.score);
      const [best, ...others] = scores.sort((a, b) => b - a);
      return best + 0.5 * others.slice(0, 3).reduce((sum, score) => sum + score, 0);
    };
    for (const { terms } of data.items.flat())
      for (const word in terms) if (!terms[word]) delete terms[word]; // lunr found its stem, Material would say "Missing"
    return { type, data: { ...data, items: data.items.sort((a, b) => worth(b) - worth(a)) } };
  };

  const RealWorker = Worker;
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.real = used.then(() => {
        const worker = new RealWorker(address);
        worker.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent("message", { data: byPage(data) }));
        return worker;
      });
    }

    async postMessage(message) {
      (await this.real).postMessage(inWords(message));
    }
  };

  const parsed = new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));
  const missed = [];

  // Focus cannot wait: what is typed next belongs into the field, and a phone shows its keyboard only in answer to a tap.
  function keep(event) {
    if (event.key === "Tab") return; // the browser has done it
    const opens = ["f", "s", "/"].includes(event.key) && !event.ctrlKey && !event.metaKey;
    if (!opens || event.target.closest("input")) return missed.push(event);
    event.preventDefault();
    field.focus();
  }
  document.querySelector(".md-header__button[for=__search]").addEventListener("click", () => field.focus());
  for (const type of ["change", "keydown"]) addEventListener(type, keep, true);

  async function start() {
    if (start.called) return;
    start.called = true;
    await parsed;
    const script = document.createElement("script");
    script.src = document.querySelector("script[type='text/plain']").src; // made so in main.html
    script.onload = () => {
      for (const type of ["change", "keydown"]) removeEventListener(type, keep, true);
      document.dispatchEvent(new Event("DOMContentLoaded", { bubbles: true })); // what Material waits for
      for (const event of missed) event.target.dispatchEvent(new event.constructor(event.type, event));
    };
    document.body.append(script);
  }
  for (const act of ["focusin", "keydown", "pointerdown", "pointermove", "scroll"])
    addEventListener(act, start, { capture: true, once: true });
  if (searching || location.hash) start();
  // For readers whose aids send no events. By then the page is drawn, and nothing of it waits for the script.
  addEventListener("load", () => setTimeout(start, 10_000));

  // The scheme and the toggle that Material's script would show on a first visit.
  if (!__md_get("__palette") && matchMedia("(prefers-color-scheme: dark)").matches)
    document.body.dataset.mdColorScheme = "slate";
  document.querySelector(`input[data-md-color-scheme=${document.body.dataset.mdColorScheme}] + label`).hidden = false;
}
