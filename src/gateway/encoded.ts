/** JSON text of an object that needs no second encoding. */
export class Encoded {
  readonly json: string;

  constructor(json: string) {
    this.json = json;
  }
}
