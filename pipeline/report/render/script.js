"use strict";
// Without it the page shows everything, too; with it, values of marks by hover, touch and arrow keys.
{
  const tip = document.body.appendChild(document.createElement("div"));
  tip.id = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  const NEAR = 24;
  let shown = null;

  const hide = () => {
    tip.hidden = true;
    if (shown) shown.classList.remove("shown");
    shown = null;
  };

  const show = (mark, said) => {
    if (mark === shown) return;
    hide();
    shown = mark;
    mark.classList.add("shown");
    tip.textContent = said;
    tip.hidden = false;
    const at = mark.getBoundingClientRect();
    const most = document.documentElement.clientWidth - tip.offsetWidth - 4;
    const left = at.left + at.width / 2 - tip.offsetWidth / 2;
    const above = at.top - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(4, Math.min(left, most)) + window.scrollX}px`;
    tip.style.top = `${(above > 0 ? above : at.bottom + 8) + window.scrollY}px`;
  };

  // The nearest mark; small ones before those that lie below them.
  const nearest = (marks, event) => {
    let found = null;
    let least = NEAR * NEAR;
    for (const mark of marks) {
      const at = mark.element.getBoundingClientRect();
      const x = Math.max(at.left - event.clientX, 0, event.clientX - at.right);
      const y = Math.max(at.top - event.clientY, 0, event.clientY - at.bottom);
      const far = x * x + y * y + (Math.max(at.width, at.height) > 16 ? 100 : 0);
      if (far < least) [found, least] = [mark, far];
    }
    return found;
  };

  for (const svg of document.querySelectorAll("figure svg")) {
    const marks = [...svg.querySelectorAll("title")].map((title) => {
      const mark = { element: title.parentNode, said: title.textContent };
      title.remove(); // the browser's own would cover ours
      return mark;
    });
    if (marks.length === 0) continue;
    let at = 0;
    const step = (to) => {
      at = Math.max(0, Math.min(to, marks.length - 1));
      show(marks[at].element, marks[at].said);
    };
    const point = (event) => {
      const mark = nearest(marks, event);
      if (mark) step(marks.indexOf(mark));
      else hide();
    };
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("focus", () => {
      if (svg.closest("[data-by-time]")) {
        // Where a mark is: in the middle of a dot, at the beginning of what lasts.
        const place = (mark) => {
          const box = mark.element.getBoundingClientRect();
          return box.left + Math.min(box.width, 16) / 2;
        };
        const places = new Map(marks.map((mark) => [mark, place(mark)]));
        marks.sort((one, other) => places.get(one) - places.get(other));
      }
      if (svg.matches(":focus-visible")) step(at);
    });
    svg.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: marks.length - 1 }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined) return;
      event.preventDefault();
      step(to);
    });
  }

  // The page holds gzip files; who has a script gets what is in them.
  for (const link of document.querySelectorAll("a[data-packed]")) {
    link.download = link.dataset.packed;
    link.addEventListener("click", async (event) => {
      if (!event.isTrusted) return;
      event.preventDefault();
      const packed = Uint8Array.from(atob(link.href.split(",")[1]), (each) => each.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      const saved = document.createElement("a");
      saved.href = URL.createObjectURL(await new Response(stream).blob());
      saved.download = link.dataset.packed;
      saved.click();
    });
  }
}
