/* Keeps the progress bars of `{% task_progress %}` up to date, until their tasks have ended.
 *
 * Events on the bar's element, which go up to the document:
 *   background-task:change    each time it stands otherwise; `event.detail` is what the view sent
 *   background-task:finished  once, at the end; likewise
 *   background-task:lost      the token is wrong or too old; nothing is asked any more
 */
(function () {
  "use strict";

  const FIRST = 1000;
  const LONGEST = 15000;
  const GROWTH = 1.5;
  const MARK = "data-background-task";
  const SELECTOR = "[" + MARK + "]";

  if (window.backgroundTaskStatus) {
    return;
  }

  function tell(box, name, detail) {
    box.dispatchEvent(new CustomEvent("background-task:" + name, { bubbles: true, detail: detail }));
  }

  function show(box, state) {
    const bar = box.querySelector("progress");
    const text = box.querySelector(".background-task-text");
    box.setAttribute("data-status", state.status);
    if (bar && state.fraction !== null) {
      bar.value = Math.round(state.fraction * bar.max);
    } else if (bar && (state.is_finished || state.status === "waiting")) {
      bar.value = bar.hasAttribute("value") ? bar.value : 0;
    } else if (bar) {
      bar.removeAttribute("value");
    }
    if (text && text.textContent !== state.text) {
      text.textContent = state.text; // only then: a screen reader says it each time
    }
  }

  function watch(box) {
    const url = box.getAttribute(MARK);
    if (box.backgroundTaskWatched === url || box.hasAttribute("data-finished")) {
      return;
    }
    box.backgroundTaskWatched = url;
    let pause = FIRST;
    let last = "";

    function later() {
      window.setTimeout(ask, pause);
      pause = Math.min(pause * GROWTH, LONGEST);
    }

    function ask() {
      if (!box.isConnected || box.backgroundTaskWatched !== url) {
        box.backgroundTaskWatched = null; // put into the page again, it is watched again
        return;
      }
      if (document.hidden) {
        document.addEventListener("visibilitychange", ask, { once: true });
        return;
      }
      fetch(url, { cache: "no-store", headers: { Accept: "application/json" } })
        .then(function (response) {
          if (response.status === 404 || response.status === 410) {
            tell(box, "lost", { code: response.status });
            return null;
          }
          if (!response.ok) {
            throw new Error("status " + response.status);
          }
          return response.json().then(take);
        })
        .catch(later); // the site may be away for a moment
    }

    function take(state) {
      const now = JSON.stringify(state);
      if (now !== last) {
        show(box, state);
        if (last !== "") {
          pause = FIRST;
        }
        last = now;
        tell(box, "change", state);
      }
      if (state.is_finished) {
        box.setAttribute("data-finished", "");
        tell(box, "finished", state);
      } else {
        later();
      }
    }

    ask();
  }

  function watchIn(root) {
    if (root.matches && root.matches(SELECTOR)) {
      watch(root);
    }
    if (root.querySelectorAll) {
      root.querySelectorAll(SELECTOR).forEach(watch);
    }
  }

  function begin() {
    watchIn(document);
    new MutationObserver(function (changes) {
      changes.forEach(function (change) {
        change.addedNodes.forEach(watchIn);
      });
    }).observe(document.documentElement, { childList: true, subtree: true });
  }

  window.backgroundTaskStatus = { watch: watchIn };
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", begin);
  } else {
    begin();
  }
})();
