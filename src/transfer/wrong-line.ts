/** A line of the file is at fault: why, and which one where it is not the one that is being read. */
export class WrongLine extends Error {
  readonly line: number | undefined;

  constructor(why: string, line?: number) {
    super(why);
    this.name = 'WrongLine';
    this.line = line;
  }
}
