// What is pasted into the search is an error message: its signs are no search operators.
document.addEventListener("paste", (event) => {
  const input = event.target;
  if (!input.matches(".md-search__input")) return;
  event.preventDefault();
  const text = event.clipboardData.getData("text").replace(/["*+:^~-]+/g, " ");
  input.setRangeText(text, input.selectionStart, input.selectionEnd, "end");
  input.dispatchEvent(new Event("keyup")); // what Material's search listens to
});
