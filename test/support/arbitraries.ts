import fc from "fast-check";

/** Half of a surrogate pair is no text: files and terminals get none. */
const withoutHalves = (code: number) => (code >= 0xd800 && code <= 0xdfff ? code - 0x800 : code);

/**
 * One character of any kind, half of them ASCII or control characters. fast-check's own unit `binary` takes seconds to
 * make on a machine that is busy, in whichever test is the first to want it.
 */
export const anyCharacter = fc
	.oneof(fc.nat({ max: 0x9f }), fc.nat({ max: 0x10ffff }))
	.map((code) => String.fromCodePoint(withoutHalves(code)));
