/* A button on each text that people copy; without scripts there is none. */
"use strict";

(() => {
  function select(text) {
    const area = document.createElement("textarea");
    area.value = text;
    area.setAttribute("readonly", "");
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Browsers have no clipboard for pages without HTTPS, and may refuse.
      select(text);
    }
  }

  for (const code of document.querySelectorAll("[data-drq-copy]")) {
    const text = code.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "drq-copy";
    button.textContent = code.dataset.drqCopy;
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      await copy(text);
      button.textContent = code.dataset.drqCopied;
      button.focus();
    });
    const frame = document.createElement("div");
    frame.className = "drq-copyable";
    code.replaceWith(frame);
    frame.append(button, code);
  }
})();
