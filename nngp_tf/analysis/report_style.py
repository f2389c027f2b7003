"""The style sheet of reports: light and dark, phone and desk, nothing loaded from elsewhere."""

STYLE_SHEET = """
:root {
  color-scheme: light dark;
  --text: #1d1f23; --muted: #5b6069; --back: #ffffff; --head: #f2f4f7; --line: #d9dde3;
  --accent: #00609a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6e8eb; --muted: #a3a9b3; --back: #15171a; --head: #202328; --line: #363b43;
    --accent: #7cc4f4;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; color: var(--text); background: var(--back); overflow-wrap: anywhere;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 74rem; margin: 0 auto; padding: 1.25rem clamp(1rem, 4vw, 2.5rem) 3rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 0 0 1rem; }
h2 {
  font-size: 1.3rem; line-height: 1.3; margin: 2.5rem 0 0.75rem; padding-top: 1rem;
  border-top: 1px solid var(--line);
}
p, ul { max-width: 46rem; margin: 0 0 0.9rem; }
ul { padding-left: 1.2rem; }
li { margin-bottom: 0.35rem; }
a { color: var(--accent); }
code { font: 0.875em/1.4 ui-monospace, Menlo, Consolas, monospace; background: var(--head);
  padding: 0.1em 0.3em; border-radius: 4px; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; list-style: none; padding: 0; }
.summary { font-size: 1.0625rem; }
.note, figcaption { color: var(--muted); font-size: 0.9rem; line-height: 1.45; }
.table {
  overflow-x: auto; max-width: 100%; width: fit-content; margin: 0 0 0.6rem;
  border: 1px solid var(--line); border-radius: 8px;
}
.table:focus-visible { outline: 2px solid var(--accent); }
table {
  border-collapse: separate; border-spacing: 0; font-size: 0.875rem; line-height: 1.35;
  font-variant-numeric: tabular-nums;
}
th, td { padding: 0.5rem 0.7rem; border-top: 1px solid var(--line); vertical-align: top;
  text-align: left; }
thead th { background: var(--head); border-top: 0; vertical-align: bottom; max-width: 10rem;
  overflow-wrap: normal; }
th.right, td.right { text-align: right; }
td.right { white-space: nowrap; }
td.left { min-width: 7rem; max-width: 22rem; }
tbody th { font-weight: 500; }
th:first-child {
  position: sticky; left: 0; z-index: 1; min-width: 12rem; max-width: 18rem;
  background: var(--back); border-right: 1px solid var(--line);
}
thead th:first-child { background: var(--head); }
.interval { color: var(--muted); }
.figures {
  display: grid; gap: 1.5rem; margin-top: 1.25rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr));
}
figure { margin: 0; }
img { display: block; width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
figure img { border: 1px solid var(--line); }
figcaption { margin-top: 0.5rem; }
@media (max-width: 40rem) {
  th:first-child { min-width: 7.5rem; max-width: 9rem; }
  .interval { display: block; font-size: 0.8125rem; }
}
@media print {
  figure, tr { break-inside: avoid; }
  .table { overflow-x: visible; }
}
"""
