/** Values of `/metrics` by series: `parley_connections`, `parley_commands_total{command="read",outcome="ok"}`. */
export type MetricValues = ReadonlyMap<string, number>;

export async function readMetrics(url: string): Promise<MetricValues> {
  return parseMetrics(await (await fetch(`${url}/metrics`)).text());
}

export function parseMetrics(text: string): MetricValues {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** The sum of a metric over its labels; 0 for one that was never counted. */
export function total(metrics: MetricValues, name: string): number {
  let sum = 0;
  for (const [series, value] of metrics) if (series === name || series.startsWith(`${name}{`)) sum += value;
  return sum;
}
