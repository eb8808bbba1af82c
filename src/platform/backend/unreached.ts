import { codeOf } from "../files/errors.ts";

/** Why a service could not be reached, or gave no answer. */
export interface Unreached {
	/**
	 * `certificate`: not trusted on this machine. `tls`: no encrypted connection. `proxy`: a proxy refused.
	 * `unconnected`: no connection at all. `unanswered`: any later failure.
	 */
	readonly kind: "certificate" | "tls" | "proxy" | "unconnected" | "unanswered";
	/** One of the codes below, which reveal nothing; undefined for any other code. */
	readonly code: string | undefined;
	/** False if nothing of the request has left this machine. */
	readonly maybeSent: boolean;
}

/** Codes of Node and OpenSSL for a certificate that they reject. */
const CERTIFICATE = new Set([
	"CERT_CHAIN_TOO_LONG",
	"CERT_HAS_EXPIRED",
	"CERT_NOT_YET_VALID",
	"CERT_REJECTED",
	"CERT_REVOKED",
	"CERT_SIGNATURE_FAILURE",
	"CERT_UNTRUSTED",
	"CRL_HAS_EXPIRED",
	"CRL_NOT_YET_VALID",
	"CRL_SIGNATURE_FAILURE",
	"DEPTH_ZERO_SELF_SIGNED_CERT",
	"ERROR_IN_CERT_NOT_AFTER_FIELD",
	"ERROR_IN_CERT_NOT_BEFORE_FIELD",
	"ERROR_IN_CRL_LAST_UPDATE_FIELD",
	"ERROR_IN_CRL_NEXT_UPDATE_FIELD",
	"ERR_TLS_CERT_ALTNAME_FORMAT",
	"ERR_TLS_CERT_ALTNAME_INVALID",
	"HOSTNAME_MISMATCH",
	"INVALID_CA",
	"INVALID_PURPOSE",
	"PATH_LENGTH_EXCEEDED",
	"SELF_SIGNED_CERT_IN_CHAIN",
	"UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
	"UNABLE_TO_DECRYPT_CERT_SIGNATURE",
	"UNABLE_TO_DECRYPT_CRL_SIGNATURE",
	"UNABLE_TO_GET_CRL",
	"UNABLE_TO_GET_ISSUER_CERT",
	"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
	"UNKNOWN_CERTIFICATE_VERIFICATION_ERROR",
]);

/** Codes of a connection that could not be made. The last two are bun's. */
const UNCONNECTED = new Set([
	"EAI_AGAIN",
	"EAI_FAIL",
	"EAI_NODATA",
	"EAI_NONAME",
	"ECONNREFUSED",
	"EHOSTDOWN",
	"EHOSTUNREACH",
	"ENETDOWN",
	"ENETUNREACH",
	"ENOTFOUND",
	"UND_ERR_CONNECT_TIMEOUT",
	"ConnectionRefused",
	"FailedToOpenSocket",
]);

/** System calls that happen before anything is sent, whatever their error code. */
const BEFORE_SENDING = new Set(["connect", "getaddrinfo", "queryA", "queryAaaa"]);

/** OpenSSL's reasons for a failed handshake. Other `ERR_SSL_` codes may occur in the middle of an answer. */
const HANDSHAKE_REASONS = [
	"WRONG_VERSION_NUMBER",
	"WRONG_SSL_VERSION",
	"UNSUPPORTED_PROTOCOL",
	"NO_PROTOCOLS_AVAILABLE",
	"HTTP_REQUEST",
	"HTTPS_PROXY_REQUEST",
	"NO_SHARED_CIPHER",
	"NO_CIPHER_MATCH",
	"UNKNOWN_PROTOCOL",
	"DH_KEY_TOO_SMALL",
	"EE_KEY_TOO_SMALL",
	"CA_KEY_TOO_SMALL",
	"CA_MD_TOO_WEAK",
	"UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
	"CERTIFICATE_VERIFY_FAILED",
	"TLSV1_UNRECOGNIZED_NAME",
];
/** Alerts of the other side about the handshake. OpenSSL puts the name of its protocol before each. */
const HANDSHAKE_ALERTS = [
	"HANDSHAKE_FAILURE",
	"PROTOCOL_VERSION",
	"INSUFFICIENT_SECURITY",
	"UNRECOGNIZED_NAME",
	"UNKNOWN_CA",
	"BAD_CERTIFICATE",
	"CERTIFICATE_EXPIRED",
	"CERTIFICATE_UNKNOWN",
	"NO_APPLICATION_PROTOCOL",
];
const HANDSHAKE = new RegExp(
	`^ERR_SSL_(?:${HANDSHAKE_REASONS.join("|")}|[\\w/]*ALERT_(?:${HANDSHAKE_ALERTS.join("|")}))$`,
);

/** How deep a chain of causes is followed. */
const DEEPEST = 8;

/** Finds out why a call of `fetch` rejected, from the codes of the error and its causes. */
export function whyUnreached(error: unknown): Unreached {
	const roots = rootsOf(error, DEEPEST).map(kindOf);
	const certificate = roots.find(({ kind }) => kind === "certificate");
	if (certificate) return certificate;
	// Several addresses were tried, and the request may have reached one of them.
	return roots.find(({ maybeSent }) => maybeSent) ?? roots[0] ?? unanswered;
}

/** Returns the end of a sentence about `service`, such as `the sign-in service`. Quotes nothing of the request. */
export function unreachedWords({ kind, code }: Unreached, service: string): string {
	const named = code === undefined ? "" : ` (${code})`;
	switch (kind) {
		case "certificate":
			return (
				`the certificate of ${service} is not trusted${named}; ` +
				"name the root certificate of your network in NODE_EXTRA_CA_CERTS"
			);
		case "tls":
			return `no encrypted connection to ${service} could be made${named}`;
		case "proxy":
			return `the proxy refused a connection to ${service}`;
		case "unconnected":
			return `${service} cannot be reached${named}`;
		case "unanswered":
			return `${service} did not answer`;
	}
}

const unanswered: Unreached = { kind: "unanswered", code: undefined, maybeSent: true };

/** Returns the innermost errors, following every cause and every part of an `AggregateError`. */
function rootsOf(error: unknown, depth: number): Error[] {
	if (!(error instanceof Error)) return [];
	const parts: readonly unknown[] = error instanceof AggregateError ? error.errors : [error.cause];
	const below = depth > 0 ? parts.flatMap((part) => rootsOf(part, depth - 1)) : [];
	return below.length > 0 ? below : [error];
}

function kindOf(error: Error): Unreached {
	const code = codeOf(error) ?? "";
	const never = (kind: Unreached["kind"], code: string | undefined): Unreached => {
		return { kind, code, maybeSent: false };
	};
	if (CERTIFICATE.has(code)) return never("certificate", code);
	const syscall = "syscall" in error ? String(error.syscall) : undefined;
	// A network that goes away breaks open connections with the same codes.
	const isBefore = syscall === undefined || BEFORE_SENDING.has(syscall);
	if (UNCONNECTED.has(code) && isBefore) return never("unconnected", code);
	if (HANDSHAKE.test(code)) return never("tls", code);
	if (syscall !== undefined && isBefore) return never("unconnected", undefined);
	// These errors have no code: Node's TLS, undici's tunnel through a proxy, and fetch's list of blocked ports.
	if (/before secure TLS connection was established/.test(error.message)) return never("tls", undefined);
	if (/when HTTP Tunneling/.test(error.message)) return never("proxy", undefined);
	return error.message === "bad port" ? never("unconnected", undefined) : unanswered;
}
