import { printable } from "../../core/account.ts";
import { codeOf } from "../files/errors.ts";
import { PoolProblem, type PoolProblemKind } from "./types.ts";

const LONGEST_MESSAGE = 160;

/**
 * The kind of problem, and the sentence about it. `at` is the database as named in a sentence, `place` only its name.
 */
type Meaning = readonly [kind: PoolProblemKind, sentence: (at: string, place: string) => string];

/** The package has the driver in a file of its own, which an update may have replaced under a running pi. */
const MISSING: Meaning = [
	"unexpected",
	() =>
		"The package postgres is missing: restart pi or, in a checkout, run npm install in the folder of pi-multicodex.",
];

/** Codes of the network, of TLS and of the driver itself. */
const CODES: Readonly<Record<string, Meaning>> = {
	ECONNREFUSED: [
		"away",
		(at) => `The connection to ${at} was refused: check that it runs, and the host and port of its URL.`,
	],
	ENOTFOUND: ["away", (at) => `The host of ${at} is not known: check the network of this machine, and the URL.`],
	EAI_AGAIN: ["away", (at) => `The host of ${at} could not be looked up: check the network of this machine.`],
	EHOSTUNREACH: ["away", (at) => `${at} cannot be reached from here: check the network of this machine.`],
	ENETUNREACH: ["away", (at) => `${at} cannot be reached from here: check the network of this machine.`],
	ETIMEDOUT: [
		"away",
		(at) => `${at} did not answer in time: check the network of this machine, and a firewall on the way.`,
	],
	ENOENT: ["away", (at) => `There is no socket of ${at}: check that it runs, and the folder in its URL.`],
	EACCES: ["away", (at) => `The socket of ${at} may not be opened by this user: check the rights of its folder.`],
	SASL_SIGNATURE_MISMATCH: [
		"refused",
		(at) => `The server could not prove that it is ${at}: check the host of the URL, and the network.`,
	],
	ERR_MODULE_NOT_FOUND: MISSING,
	MODULE_NOT_FOUND: MISSING,
	ERR_TLS_CERT_ALTNAME_INVALID: [
		"untrusted",
		(at) => `The certificate of ${at} is for another host: use the host name that it was made for in the URL.`,
	],
	CERT_HAS_EXPIRED: ["untrusted", (at) => `The certificate of ${at} has expired: it has to be renewed there.`],
};
const CUT_OFF: Meaning = ["away", (at) => `The connection to ${at} was cut off: pi tries again by itself.`];
const UNTRUSTED: Meaning = [
	"untrusted",
	(at) => `The certificate of ${at} is not trusted here: name the file of its root in the URL, as sslrootcert=<file>.`,
];
/** Matches OpenSSL's codes for a chain that does not end at a known root. */
const OF_CHAIN = /CERT|SELF_SIGNED|ISSUER|UNABLE_TO_VERIFY|HOSTNAME_MISMATCH/;
/** Matches OpenSSL's codes for an invalid certificate file or key, or one that the other side rejects. */
const OF_TLS = /^(ERR_SSL|ERR_OSSL|EPROTO)/;
const TLS_FAILED: Meaning = [
	"untrusted",
	(at) => `No encrypted connection to ${at} could be made: check the files and the sslmode that the URL names.`,
];

/** SQL states, either complete or the class that they start with. */
const STATES: Readonly<Record<string, Meaning>> = {
	"28": ["refused", (at) => `${at} refused the user or its password: check both in the URL.`],
	"3D000": ["bad-url", (_, place) => `There is no database ${place}: make it, or correct the end of the URL.`],
	"42501": [
		"no-rights",
		(at) =>
			`The user of the URL lacks rights in ${at}: it has to own the schema pi_multicodex, or be allowed to make it (GRANT CREATE ON DATABASE).`,
	],
	"25006": ["read-only", (at) => `${at} accepts no changes now (a replica, or read-only): use the URL of the primary.`],
	"53100": ["full", (at) => `The disk of ${at} is full: free space there; until then nothing new is shared.`],
	"53300": ["away", (at) => `${at} has no connection free: close some, raise its limit, or use the URL of its pooler.`],
	"53": ["full", (at) => `${at} is out of memory or of another resource: until it has some, nothing new is shared.`],
	"57": ["away", (at) => `${at} is stopping, starting, or has cancelled the statement: pi tries again by itself.`],
	"08": CUT_OFF,
	"40": ["away", (at) => `${at} was busy with other changes of the same rows: pi tries again by itself.`],
	"55": ["away", (at) => `${at} was busy with other changes of the same rows: pi tries again by itself.`],
	"3F000": ["no-pool", (at) => noPool(at)],
	"42P01": ["no-pool", (at) => noPool(at)],
	"42": [
		"no-pool",
		(at) => `The schema pi_multicodex of ${at} belongs to something else: use another database for the pool.`,
	],
};

/** Matches the answer of a server whose `pg_hba.conf` accepts this connection only in another way, or not at all. */
const NO_ENTRY = /no pg_hba\.conf entry/;
const UNENCRYPTED = /no encryption|SSL off|(?:SSL|TLS)[^.]*required|require[sd]?[^.]*(?:SSL|TLS)|sslmode=require/i;

/** Returns the sentence for missing tables. */
export function noPool(place: string): string {
	return `There is no pool in ${place}: make one with /multicodex share <url>, or check the URL.`;
}

/**
 * Interprets an error of the driver, the network or the server. Keeps nothing of the error itself, since the driver
 * puts parameters into its errors.
 */
export function toPoolProblem(error: unknown, place: string): PoolProblem {
	if (error instanceof PoolProblem) return new PoolProblem(error.kind, error.message);
	const at = `the database at ${place}`;
	const [kind, sentence] = meaningOf(error);
	const text = sentence(at, place);
	return new PoolProblem(kind, `${text.charAt(0).toUpperCase()}${text.slice(1)}`);
}

function meaningOf(error: unknown): Meaning {
	const code = codeOf(error) ?? "";
	const message = error instanceof Error ? error.message : "";
	if (isFromServer(error)) return meaningOfState(code, message);
	const known = Object.hasOwn(CODES, code) ? CODES[code] : undefined;
	if (known !== undefined) return known;
	if (code === "CONNECT_TIMEOUT") return CODES.ETIMEDOUT ?? CUT_OFF;
	if (OF_CHAIN.test(code)) return UNTRUSTED;
	if (OF_TLS.test(code)) return TLS_FAILED;
	if (/^(CONNECTION_|ECONN|EPIPE|ERR_SOCKET|ERR_STREAM)/.test(code)) return CUT_OFF;
	return ["unexpected", (at) => `Something went wrong with ${at}${code === "" ? "" : ` (${printable(code)})`}.`];
}

function meaningOfState(state: string, message: string): Meaning {
	if (UNENCRYPTED.test(message) && !state.startsWith("42")) {
		return ["refused", (at) => `${at} accepts only encrypted connections: add sslmode=require to the URL.`];
	}
	if (NO_ENTRY.test(message)) {
		return ["refused", (at) => `${at} does not accept this user from here: its pg_hba.conf has to allow that.`];
	}
	const known = [state, state.slice(0, 2)].find((each) => Object.hasOwn(STATES, each));
	const meaning = known === undefined ? undefined : STATES[known];
	if (meaning !== undefined) return meaning;
	// The message of an error about a value quotes the value.
	const said = state.startsWith("22") ? "" : `: ${printable(message).slice(0, LONGEST_MESSAGE)}`;
	return ["unexpected", (at) => `${at} answered with an error (${state}${said}).`];
}

/** True for an error of the server. Those have a severity, and errors of the network have none. */
function isFromServer(error: unknown): boolean {
	return error instanceof Error && "severity" in error;
}
