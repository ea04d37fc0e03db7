// Keeps the dashboard fresh: asks for the same page again, and changes what has changed.
"use strict";

(function () {
    const root = document.getElementById("bgt");
    if (!root || !window.fetch) {
        return;
    }
    const sections = document.getElementById("bgt-sections");
    const status = document.getElementById("bgt-status");
    const updated = document.getElementById("bgt-updated");
    const button = document.getElementById("bgt-pause");
    const LONGEST = 60000;
    const SLOWEST = 20000;
    // As the server sent them: what people and this script have changed since is not compared.
    const known = new Map();
    let timer = null;
    let failures = 0;
    let isPaused = false;
    let isAsking = false;

    // -- Changing what is shown -----------------------------------------------------------------

    function keyOf(node) {
        return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";
    }

    function areAlike(one, other) {
        return one.nodeType === other.nodeType && one.nodeName === other.nodeName &&
            keyOf(one) === keyOf(other);
    }

    function takeAttributes(old, fresh) {
        for (const { name } of Array.from(old.attributes)) {
            // Whether details are open is up to the reader.
            if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) {
                old.removeAttribute(name);
            }
        }
        for (const { name, value } of fresh.attributes) {
            if (old.getAttribute(name) !== value) {
                old.setAttribute(name, value);
            }
        }
    }

    // Makes an element equal to another one, and touches nothing that is equal already: so focus,
    // scroll positions, open details and what is selected stay.
    function morph(old, fresh) {
        if (old.nodeType !== Node.ELEMENT_NODE) {
            if (old.nodeValue !== fresh.nodeValue) {
                old.nodeValue = fresh.nodeValue;
            }
            return;
        }
        if ("keep" in old.dataset) {
            return;
        }
        takeAttributes(old, fresh);
        const keyed = new Map();
        for (const child of old.children) {
            if (keyOf(child)) {
                keyed.set(keyOf(child), child);
            }
        }
        let place = old.firstChild;
        for (const wanted of Array.from(fresh.childNodes)) {
            const same = keyed.get(keyOf(wanted));
            if (place && areAlike(place, wanted)) {
                const current = place;
                place = place.nextSibling;
                morph(current, wanted);
            } else if (same && areAlike(same, wanted)) {
                old.insertBefore(same, place);
                morph(same, wanted);
            } else {
                old.insertBefore(document.importNode(wanted, true), place);
            }
        }
        while (place) {
            const next = place.nextSibling;
            place.remove();
            place = next;
        }
    }

    function isSelectedIn(section) {
        const selection = window.getSelection();
        return Boolean(selection) && !selection.isCollapsed && selection.containsNode(section, true);
    }

    function isChanged(fresh) {
        return known.get(fresh.id) !== fresh.outerHTML;
    }

    function show(fresh) {
        const wanted = Array.from(fresh.querySelectorAll("[data-section]"));
        const ids = wanted.map((section) => section.id);
        for (const old of sections.querySelectorAll("[data-section]")) {
            if (!ids.includes(old.id)) {
                known.delete(old.id);
                old.remove();
            }
        }
        wanted.forEach((section, number) => {
            const old = document.getElementById(section.id);
            if (!old) {
                const before = number ? document.getElementById(ids[number - 1]) : null;
                const added = document.importNode(section, true);
                if (before) {
                    before.after(added);
                } else {
                    sections.prepend(added);
                }
                known.set(section.id, section.outerHTML);
            } else if (isChanged(section) && !isSelectedIn(old)) {
                // Whoever selects something wants to copy it: it is changed the next time.
                known.set(section.id, section.outerHTML);
                morph(old, section);
            }
        });
    }

    // -- Asking ---------------------------------------------------------------------------------

    function say(text, url) {
        if (status.dataset.said === text) {
            return;  // or it would be read out each time
        }
        status.dataset.said = text;
        status.textContent = text;
        if (url) {
            const link = document.createElement("a");
            link.href = url;
            link.textContent = "Log in again";
            status.append(" ", link);
        }
    }

    function mark() {
        root.classList.toggle("bgt-live", !isPaused && !failures);
        root.classList.toggle("bgt-lost", !isPaused && failures > 0);
        button.textContent = isPaused ? "Resume refresh" : "Pause refresh";
    }

    function plan() {
        const usual = Number(root.dataset.seconds) * 1000;
        const milliseconds = Math.min(usual * 2 ** failures, Math.max(LONGEST, usual));
        window.clearTimeout(timer);
        timer = isPaused || document.hidden ? null : window.setTimeout(ask, milliseconds);
    }

    function stop(text, url) {
        isPaused = true;
        say(text, url);
        mark();
    }

    async function fetchFragment() {
        const response = await fetch(root.dataset.fragment, {
            credentials: "same-origin",
            redirect: "manual",
            signal: AbortSignal.timeout ? AbortSignal.timeout(SLOWEST) : undefined,
            headers: { Accept: "text/html" },
        });
        if (response.type === "opaqueredirect" || response.status === 401) {
            stop("You are logged out.", root.dataset.login);
            return null;
        }
        if (response.status === 403) {
            stop("You may not see this page any more.", root.dataset.login);
            return null;
        }
        if (!response.ok) {
            throw new Error(String(response.status));
        }
        const text = await response.text();
        const found = new DOMParser().parseFromString(text, "text/html");
        const fresh = found.getElementById("bgt-sections");
        if (!fresh) {
            throw new Error("not the dashboard");
        }
        return fresh;
    }

    async function ask() {
        if (isAsking) {
            return;
        }
        isAsking = true;
        try {
            const fresh = await fetchFragment();
            if (fresh && !isPaused) {
                show(fresh);
                updated.textContent = fresh.dataset.updated;
                failures = 0;
                say("");
            }
        } catch {
            failures += 1;
            say("Connection lost, trying again.");
        } finally {
            isAsking = false;
        }
        mark();
        plan();
    }

    button.addEventListener("click", () => {
        isPaused = !isPaused;
        say("");
        mark();
        if (isPaused) {
            window.clearTimeout(timer);
        } else {
            ask();
        }
    });

    document.addEventListener("visibilitychange", () => {
        if (document.hidden) {
            window.clearTimeout(timer);
        } else if (!isPaused) {
            ask();
        }
    });

    // A page that comes back from the browser's history shows what was true then.
    window.addEventListener("pageshow", (event) => {
        if (event.persisted && !isPaused) {
            ask();
        }
    });

    // -- Reading charts -------------------------------------------------------------------------

    function release(area) {
        area.querySelector(".bgt-cursor").setAttribute("width", "0");
        area.closest(".bgt-chart").querySelector(".bgt-readout").textContent = "";
    }

    function point(area, clientX) {
        const chart = area.closest(".bgt-chart");
        const rows = chart.querySelectorAll(".bgt-numbers tbody tr");
        const box = area.getBoundingClientRect();
        const place = Math.floor((clientX - box.left) / box.width * rows.length);
        if (!box.width || place < 0 || place >= rows.length) {
            release(area);
            return;
        }
        const titles = chart.querySelectorAll(".bgt-numbers thead th");
        const cells = Array.from(rows[place].cells, (cell) => cell.textContent);
        const said = cells.slice(1).map((text, number) => `${titles[number + 1].textContent} ${text}`);
        chart.querySelector(".bgt-readout").textContent = `${cells[0]}: ${said.join(", ")}`;
        const cursor = area.querySelector(".bgt-cursor");
        cursor.setAttribute("x", `${place / rows.length * 100}%`);
        cursor.setAttribute("width", `${100 / rows.length}%`);
    }

    sections.addEventListener("pointermove", (event) => {
        const area = event.target.closest(".bgt-area");
        if (area) {
            point(area, event.clientX);
        }
    });

    sections.addEventListener("pointerout", (event) => {
        const area = event.target.closest(".bgt-area");
        if (area && !area.contains(event.relatedTarget)) {
            release(area);
        }
    });

    button.hidden = false;
    mark();
    plan();
})();
