type Typed = Int32Array | BigInt64Array | Uint8Array;
type Element<A extends Typed> = A extends BigInt64Array ? bigint : number;

/** A typed array whose end is not known: doubles, so that a million tokens cost four megabytes and not an object each. */
export class Growing<A extends Typed> {
  readonly #make: new (length: number) => A;
  #array: A;
  length = 0;

  constructor(make: new (length: number) => A) {
    this.#make = make;
    this.#array = new make(1024);
  }

  push(...values: Element<A>[]): void {
    this.append(values);
  }

  append(values: ArrayLike<Element<A>>): void {
    const wanted = this.length + values.length;
    if (wanted > this.#array.length) {
      const larger = new this.#make(Math.max(wanted, this.#array.length * 2));
      larger.set(this.#array as never);
      this.#array = larger;
    }
    this.#array.set(values as never, this.length);
    this.length = wanted;
  }

  /** The bytes of what was pushed, in place. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#array.buffer, 0, this.length * this.#array.BYTES_PER_ELEMENT);
  }
}
