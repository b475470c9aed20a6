/*
 * Keeps parts of a page up to date without loading it again.
 *
 * Each element with an id and data-drq-fresh="seconds" is replaced by the one of the same id in the
 * page as the server shows it then. A page that has none any more is not asked again: what it shows
 * has come to its end. A hidden page asks nothing.
 */
const PARTS = "[data-drq-fresh]";

const seconds = () =>
  Math.min(...[...document.querySelectorAll(PARTS)].map((part) => Number(part.dataset.drqFresh)));

const say = (words) => {
  const notice = document.getElementById("drq-stale");
  if (!notice) return;
  if (words && notice.textContent !== words) notice.textContent = words;
  notice.hidden = !words;
};

const wordsFor = (name) => document.getElementById("drq-stale")?.dataset[name];

const replace = (shown) => {
  for (const part of document.querySelectorAll(PARTS)) {
    const fresh = shown.getElementById(part.id);
    // Nothing is taken from under the fingers of somebody who is about to press it.
    if (!fresh || part.contains(document.activeElement)) continue;
    if (part.innerHTML !== fresh.innerHTML) part.replaceWith(document.adoptNode(fresh));
    else if (!fresh.dataset.drqFresh) part.removeAttribute("data-drq-fresh");
  }
};

const refresh = async () => {
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout(10_000),
    });
    if (answer.redirected || answer.status === 403) return say(wordsFor("loggedOut"));
    if (!answer.ok) throw new Error(answer.statusText);
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    say("");
  } catch {
    say(wordsFor("words"));
  }
  return undefined;
};

const wait = () => {
  const pause = seconds();
  if (!Number.isFinite(pause)) return;
  setTimeout(async () => {
    if (!document.hidden) await refresh();
    wait();
  }, pause * 1000);
};

wait();
