// A running answer: the page scrolls with it, screen readers are told when it starts and ends.
"use strict";

// Scrolling with the answer, until the reader scrolls up.

let isFollowing = true;
let lastScrollY = 0;
const root = document.documentElement;
const pixelsBelow = () => root.scrollHeight - innerHeight - scrollY;

function scrollToEnd(behavior = "instant") {
  scrollTo({ top: root.scrollHeight, behavior });
}

function followAnswer(behavior = "instant") {
  isFollowing = true;
  scrollToEnd(behavior);
}

function stopFollowing() {
  isFollowing = false;
}

function pageScrolled() {
  if (pixelsBelow() < 48) isFollowing = true;
  else if (scrollY < lastScrollY - 2) isFollowing = false;
  lastScrollY = scrollY;
  query("#jump-to-latest").hidden = pixelsBelow() < 240 || !query("article");
}

function pageGrew() {
  if (scrollY < lastScrollY - 2 && pixelsBelow() >= 48) isFollowing = false;
  if (isFollowing) scrollToEnd();
  pageScrolled();
}

// The state of the answer. Screen readers are not told its text while it grows.

let wasRunning = isAnswerRunning();

function markStreaming() {
  const article = query('article[data-status="pending"]');
  if (article && query(".markdown > :not(:empty)", article)) article.dataset.status = "streaming";
}

function announceState() {
  const isRunning = isAnswerRunning();
  if (isRunning === wasRunning) return;
  wasRunning = isRunning;
  if (isRunning) return announce(chat.dataset.textStarted);
  const outcome = query(".outcome p", queryAll("article").at(-1));
  announce(outcome?.textContent.trim().replace(/\s+/g, " ") || chat.dataset.textFinished);
}

// A list of conversations that came over the WebSocket does not know which one this page shows.
function markCurrentConversation() {
  for (const link of queryAll("#conversations a")) {
    const isCurrent = link.pathname === location.pathname;
    if (!isCurrent) link.removeAttribute("aria-current");
    else link.setAttribute("aria-current", "page");
    if (isCurrent) query(".dot", link)?.remove();
  }
}

// The final answer replaces the growing one: reasoning that the reader has opened stays open.
htmx.registerExtension("keep-open", {
  htmx_before_morph_attr: (element, { attrName }) => !(attrName === "open" && element.matches("details")),
});

document.addEventListener("htmx:ws:after:message:incoming", markCurrentConversation);
addEventListener("scroll", pageScrolled, { passive: true });
addEventListener("resize", pageGrew);
query("#jump-to-latest").addEventListener("click", () => {
  followAnswer(matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth");
});
new MutationObserver(() => {
  addCopyButtons();
  markStreaming();
  announceState();
  pageGrew();
}).observe(query("#messages"), { childList: true, subtree: true, characterData: true });

// Before htmx starts: it loads earlier messages when the link to them, at the top, is in sight.
const linkedMessage = location.hash && document.getElementById(location.hash.slice(1));
if (linkedMessage) {
  stopFollowing();
  linkedMessage.scrollIntoView({ block: "center", behavior: "instant" });
} else {
  scrollToEnd();
}
query("#conversations [aria-current]")?.scrollIntoView({ block: "nearest" });
pageScrolled();
