// @ts-check
export const style = `
:root { --bg: #f6f7f9; --card: #fff; --text: #1b1f27; --dim: #5c6675; --line: #dfe3ea; --good: #13753f; --bad: #b3201f;
  --warn: #8a5a00; --s0: #2563c9; --s1: #c2570c; --s2: #7a3fc4; --grid: #e9ecf1; }
@media (prefers-color-scheme: dark) { :root { --bg: #12151b; --card: #1a1f28; --text: #e7eaf0; --dim: #9aa5b5; --line: #2d3440;
  --good: #5ccf8f; --bad: #ff8078; --warn: #e6b450; --s0: #75a7ff; --s1: #ff9d5c; --s2: #c09bff; --grid: #262d38; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; }
header { background: var(--card); border: 1px solid var(--line); border-left: 6px solid var(--good); border-radius: 10px; padding: 20px 24px; }
header.fail { border-left-color: var(--bad); }
h1 { font-size: 22px; line-height: 1.3; margin: 4px 0 8px; font-weight: 600; text-wrap: balance; }
h2 { font-size: 16px; margin: 32px 0 12px; }
h3 { font-size: 14px; margin: 0 0 8px; font-weight: 600; }
h3 small { color: var(--dim); font-weight: 400; }
.badge { color: var(--card); background: var(--good); border-radius: 6px; padding: 2px 10px; margin-right: 6px; }
.fail .badge { background: var(--bad); }
.kind, .where, footer, small { color: var(--dim); font-size: 13px; margin: 0; }
.failures { margin: 12px 0 0; padding-left: 20px; }
.knee { margin: 12px 0 0; font-weight: 500; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 12px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; display: grid; }
.tile span { color: var(--dim); font-size: 13px; }
.tile b { font-size: 24px; font-weight: 600; font-variant-numeric: tabular-nums; }
.good b, td.good { color: var(--good); } .bad b, td.bad { color: var(--bad); } .warn b { color: var(--warn); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 12px; }
figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; margin: 0; min-width: 0; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--dim); font: 11px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--grid); } svg .value { fill: var(--text); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.s0 { stroke: var(--s0); --c: var(--s0); } .s1 { stroke: var(--s1); --c: var(--s1); } .s2 { stroke: var(--s2); --c: var(--s2); }
.line.s1 { stroke-dasharray: 7 3; } .line.s2 { stroke-dasharray: 2 4; }
.dot { stroke: none; fill: var(--c); } .bar { stroke: none; fill: var(--s0); }
.legend { display: flex; gap: 16px; margin: 6px 0 0; padding: 0; list-style: none; font-size: 13px; color: var(--dim); }
.legend svg { display: inline-block; width: 24px; height: 8px; margin-right: 6px; vertical-align: middle; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
th, td { text-align: left; padding: 7px 14px; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; color: var(--dim); font-weight: 500; font-size: 13px; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
footer { margin-top: 32px; }
`;
