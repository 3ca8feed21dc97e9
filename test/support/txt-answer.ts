/** What a name server says, for tests that are one. */

/** The DNS answer to `query` (RFC 1035): its header and question, then one TXT record of these pieces. */
export function txtAnswer(query: Buffer, pieces: readonly string[]): Buffer {
  const end = query.indexOf(0, 12) + 5;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(1, 6);
  header.fill(0, 8);
  const data = Buffer.concat(pieces.map((piece) => Buffer.concat([Buffer.from([piece.length]), Buffer.from(piece)])));
  // Name: pointer to the question; TXT, IN, 60 s, length.
  const record = Buffer.from([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, data.length]);
  return Buffer.concat([header, query.subarray(12, end), record, data]);
}
