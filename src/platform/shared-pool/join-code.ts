import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { JoinCodes } from "../../core/shared-pool.ts";
import { runnerSecret } from "./sealing.ts";
import type { JoinCode, Role } from "./types.ts";

/** How every join code starts, so that people and secret scanners recognize one. */
const BEGINNING = /^pi-pool-(keeper|runner)-/;
const FORMAT = 1;
const SECRET_BYTES = 32;
const CHECK_BYTES = 6;

/** The code in a text, or one sentence about what is wrong with the text. The sentence quotes no part of it. */
type ReadJoinCode =
	| { readonly kind: "ok"; readonly code: JoinCode }
	| { readonly kind: "bad"; readonly problem: string };

/** Creates a keeper's code for a new pool in the database at `url`. */
export function newKeeperCode(url: string): JoinCode {
	return { url, poolId: randomBytes(8).toString("hex"), role: "keeper", secret: randomBytes(SECRET_BYTES) };
}

/** Creates a keeper's code for the same pool with a new key. */
export function withNewSecret(code: JoinCode): JoinCode {
	return { ...code, role: "keeper", secret: randomBytes(SECRET_BYTES) };
}

/** Derives a runner's code from a keeper's code. It opens access tokens, but no refresh tokens. */
export function runnerCodeOf(code: JoinCode): JoinCode {
	return code.role === "runner" ? code : { ...code, role: "runner", secret: runnerSecret(code.secret) };
}

/** Prints a code as one word of letters, digits, `-` and `_` that people can copy. */
export function printJoinCode(code: JoinCode): string {
	const poolId = Buffer.from(code.poolId);
	const payload = Buffer.concat([Buffer.from([FORMAT, poolId.length]), poolId, code.secret, Buffer.from(code.url)]);
	return `pi-pool-${code.role}-${Buffer.concat([payload, checkOf(code.role, payload)]).toString("base64url")}`;
}

/** Prints the codes that other machines join with. */
export function codesOf(keeper: JoinCode): JoinCodes {
	return { keeper: printJoinCode(keeper), runner: printJoinCode(runnerCodeOf(keeper)) };
}

/** Returns the code in a stored text; undefined if there is none, or none that can be read. */
export function joinCodeIn(text: string | undefined): JoinCode | undefined {
	const read = text === undefined ? undefined : readJoinCode(text);
	return read?.kind === "ok" ? read.code : undefined;
}

/** Reads a pasted code. Ignores blanks and line ends, since terminals and chats break long words. */
export function readJoinCode(text: string): ReadJoinCode {
	const word = text.replace(/\s+/g, "");
	const [beginning, role] = BEGINNING.exec(word) ?? [];
	if (beginning === undefined || (role !== "keeper" && role !== "runner")) {
		return bad("That is not a join code: one begins with pi-pool-keeper- or pi-pool-runner-.");
	}
	const rest = word.slice(beginning.length);
	const bytes = Buffer.from(rest, "base64url");
	const payload = bytes.subarray(0, -CHECK_BYTES);
	const check = bytes.subarray(-CHECK_BYTES);
	const isWhole =
		/^[\w-]*$/.test(rest) && check.length === CHECK_BYTES && timingSafeEqual(check, checkOf(role, payload));
	if (!isWhole)
		return bad("The join code is not complete, or was changed: copy it again, from its first letter to its last.");
	const [format, idLength = 0] = payload;
	if (format !== FORMAT) return bad("The join code is of a newer version: update pi-multicodex on this machine.");
	const secretAt = 2 + idLength;
	const urlAt = secretAt + SECRET_BYTES;
	return {
		kind: "ok",
		code: {
			url: payload.toString("utf8", urlAt),
			poolId: payload.toString("utf8", 2, secretAt),
			role,
			secret: new Uint8Array(payload.subarray(secretAt, urlAt)),
		},
	};
}

/** Computes a checksum. It detects a text that was cut off, mistyped, or given the other role. */
function checkOf(role: Role, payload: Uint8Array): Buffer {
	return createHash("sha256").update(`pi-pool-${role}\n`).update(payload).digest().subarray(0, CHECK_BYTES);
}

function bad(problem: string): ReadJoinCode {
	return { kind: "bad", problem };
}
