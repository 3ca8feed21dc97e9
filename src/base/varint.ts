/** Unsigned varints, as multiformats, CARs and protobuf write them: seven bits a byte, the lowest first. */

/** `value` is a safe integer of 0 or more: shifts would do for 32 bits alone. */
export function pushVarint(out: number[], value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) | 0x80);
  out.push(rest);
}

/** Bytes that `pushVarint` takes for `value`. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}
