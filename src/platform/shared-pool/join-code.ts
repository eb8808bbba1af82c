import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { JoinCodes } from "../../core/shared-pool.ts";
import { runnerSecret } from "./sealing.ts";
import type { JoinCode, Role } from "./types.ts";

/** What every join code begins with, so that a person, and what looks for secrets in texts, knows one. */
const BEGINNING = /^pi-pool-(keeper|runner)-/;
const FORMAT = 1;
const SECRET_BYTES = 32;
const CHECK_BYTES = 6;

/** The code of a text, or one sentence that says what is wrong with the text, without a part of it. */
export type ReadJoinCode =
	| { readonly kind: "ok"; readonly code: JoinCode }
	| { readonly kind: "bad"; readonly problem: string };

/** The code of a keeper for a new pool in the database at `url`. */
export function newKeeperCode(url: string): JoinCode {
	return { url, poolId: randomBytes(8).toString("hex"), role: "keeper", secret: randomBytes(SECRET_BYTES) };
}

/** The code of a keeper for the same pool with a new key. */
export function withNewSecret(code: JoinCode): JoinCode {
	return { ...code, role: "keeper", secret: randomBytes(SECRET_BYTES) };
}

/** The code of a runner that goes with that of a keeper: it opens access tokens and no refresh token. */
export function runnerCodeOf(code: JoinCode): JoinCode {
	return code.role === "runner" ? code : { ...code, role: "runner", secret: runnerSecret(code.secret) };
}

/** Writes a code as the text that people copy: one word of letters, digits, `-` and `_`. */
export function printJoinCode(code: JoinCode): string {
	const poolId = Buffer.from(code.poolId);
	const payload = Buffer.concat([Buffer.from([FORMAT, poolId.length]), poolId, code.secret, Buffer.from(code.url)]);
	return `pi-pool-${code.role}-${Buffer.concat([payload, checkOf(code.role, payload)]).toString("base64url")}`;
}

/** The codes that other machines join with, as texts. */
export function codesOf(keeper: JoinCode): JoinCodes {
	return { keeper: printJoinCode(keeper), runner: printJoinCode(runnerCodeOf(keeper)) };
}

/** Reads a pasted code. Blanks and line ends are no part of one: terminals and chats break long words. */
export function readJoinCode(text: string): ReadJoinCode {
	const word = text.replace(/\s+/g, "");
	const [beginning, role] = BEGINNING.exec(word) ?? [];
	if (beginning === undefined || (role !== "keeper" && role !== "runner")) {
		return bad("That is no join code: one begins with pi-pool-keeper- or pi-pool-runner-.");
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

/** Tells a text that was cut off, mistyped, or given the other role from a whole one. */
function checkOf(role: Role, payload: Uint8Array): Buffer {
	return createHash("sha256").update(`pi-pool-${role}\n`).update(payload).digest().subarray(0, CHECK_BYTES);
}

function bad(problem: string): ReadJoinCode {
	return { kind: "bad", problem };
}
