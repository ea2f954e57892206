// Before the first paint, so that a chosen theme does not flash the other one. A file, for the policy allows no inline script.
try {
  const theme = localStorage.getItem('parley.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's preference applies.
}
