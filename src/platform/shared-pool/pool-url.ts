import { userInfo } from "node:os";
import { PoolProblem } from "./types.ts";

/** What `sslmode` may be, as libpq means it. */
export type TlsMode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full";
const TLS_MODES: readonly TlsMode[] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/** What `ssl_min_protocol_version` may be, as libpq and Node both write it. */
export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
const TLS_VERSIONS: readonly TlsVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/** One server that the URL names, or the folder of a socket on this machine. */
export interface PoolHost {
	readonly host: string;
	readonly port: number;
}

/** A Postgres URL, taken apart. Holds the password. */
export interface PoolUrl {
	/** Tried in this order. */
	readonly hosts: readonly PoolHost[];
	readonly user: string;
	readonly password: string;
	readonly database: string;
	readonly tls: {
		readonly mode: TlsMode;
		/** Files of certificates and of a key. */
		readonly root: string | undefined;
		readonly certificate: string | undefined;
		readonly key: string | undefined;
		/** Of the key. */
		readonly passphrase: string | undefined;
		/** Versions of the protocol, at least and at most. */
		readonly least: TlsVersion | undefined;
		readonly most: TlsVersion | undefined;
		/** TLS from the first byte on, as PostgreSQL 17 can. */
		readonly isDirect: boolean;
	};
	/** What the server is asked to set for the connection. */
	readonly parameters: Readonly<Record<string, string>>;
	/** The database in a sentence: without user and password. */
	readonly place: string;
}

const FORM = /^(postgres(?:ql)?):\/\/(?:([^/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/is;
const ENCODE = "a character such as / ? @ % in a user name or a password is written as %2F %3F %40 %25";

/**
 * Takes a URL apart as psql does, except that options that it does not know are passed over: providers add some for
 * other clients. One that begins with `ssl` is none of those, and never passed over.
 * @throws a {@link PoolProblem} that holds nothing of the URL but its host
 */
export function parsePoolUrl(text: string): PoolUrl {
	const [, scheme, login, authority = "", path = "", query = ""] = FORM.exec(text.trim()) ?? [];
	if (scheme === undefined) {
		throw badUrl("That is no URL of a Postgres database: one begins with postgres:// and names a host and a database.");
	}
	const options = optionsOf(query);
	// The password has a `/`, so that what seems to be a host and a port is the user and its beginning.
	if (login === undefined && path.includes("@")) throw badUrl(`The host or port of the URL cannot be read: ${ENCODE}.`);
	const [name = "", ...rest] = (login ?? "").split(":");
	const user = options.get("user") || decode(name) || process.env.PGUSER || userInfo().username;
	const database = options.get("dbname") || decode(path) || process.env.PGDATABASE || user;
	const hosts = hostsOf(options.get("host") || authority, options.get("port"));
	return {
		hosts,
		user,
		password: options.get("password") || decode(rest.join(":")) || process.env.PGPASSWORD || "",
		database,
		tls: {
			mode: tlsModeOf(options),
			root: fileOf(options.get("sslrootcert")),
			certificate: fileOf(options.get("sslcert")),
			key: fileOf(options.get("sslkey")),
			passphrase: options.get("sslpassword"),
			least: versionOf(options.get("ssl_min_protocol_version")),
			most: versionOf(options.get("ssl_max_protocol_version")),
			isDirect: options.get("sslnegotiation") === "direct",
		},
		parameters: {
			application_name: options.get("application_name") || "pi-multicodex",
			...(options.has("options") && { options: options.get("options") ?? "" }),
		},
		place: `${hosts.map(({ host, port }) => `${host}:${port}`).join(",")}/${database}`,
	};
}

/** Those that are understood, or that ask for nothing that would not be so anyway. */
const SSL_OPTIONS = new Set([
	"ssl",
	"sslmode",
	"sslrootcert",
	"sslcert",
	"sslkey",
	"sslpassword",
	"sslnegotiation",
	"sslcertmode",
	"ssl_min_protocol_version",
	"ssl_max_protocol_version",
	"sslsni",
	"sslcompression",
]);

function optionsOf(query: string): ReadonlyMap<string, string> {
	const options = new Map<string, string>();
	for (const pair of query.split("&").filter((each) => each !== "")) {
		const [name = "", ...value] = pair.split("=");
		options.set(decode(name), decode(value.join("=")));
	}
	const unknown = [...options.keys()].find((name) => name.startsWith("ssl") && !SSL_OPTIONS.has(name));
	if (unknown !== undefined) {
		throw badUrl(`The URL has an option that is not understood (${unknown.slice(0, 40)}): check how it is written.`);
	}
	return options;
}

/**
 * A client that cannot bind a login to its channel has to verify the certificate, to be as sure of the server as
 * `channel_binding=require` asks for.
 */
function tlsModeOf(options: ReadonlyMap<string, string>): TlsMode {
	if (options.get("channel_binding") === "require") return "verify-full";
	const wanted = options.get("sslmode") || (isYes(options.get("ssl")) ? "require" : process.env.PGSSLMODE);
	if (options.get("sslrootcert") === "system") return "verify-full";
	if (wanted === undefined) return "prefer";
	const mode = TLS_MODES.find((each) => each === wanted);
	if (mode === undefined) throw badUrl(`The sslmode of the URL is none: it may be ${TLS_MODES.join(", ")}.`);
	// As libpq has it: who names a root wants it to be looked at.
	return mode === "require" && options.has("sslrootcert") ? "verify-ca" : mode;
}

/** As other clients write `sslmode=require`. */
function isYes(ssl: string | undefined): boolean {
	return ssl !== undefined && !["0", "false", "no", "off", "disable"].includes(ssl);
}

function versionOf(wanted: string | undefined): TlsVersion | undefined {
	if (wanted === undefined || wanted === "") return undefined;
	const version = TLS_VERSIONS.find((each) => each.toLowerCase() === wanted.toLowerCase());
	if (version) return version;
	throw badUrl(`The URL names a version of TLS that there is not: it may be ${TLS_VERSIONS.join(", ")}.`);
}

/** `system` means the roots that Node brings, which are those that are used without a file. */
function fileOf(value: string | undefined): string | undefined {
	return value === "" || value === "system" ? undefined : value;
}

function hostsOf(authority: string, portOption: string | undefined): readonly PoolHost[] {
	const ports = (portOption ?? "").split(",");
	return authority.split(",").map((each, index) => {
		// A blank where the form does not fit, as in `host:port:more`.
		const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(each) ?? [];
		if (bracketed === undefined && plain === undefined)
			throw badUrl(`The host or port of the URL cannot be read: ${ENCODE}.`);
		const host = decode(bracketed ?? plain ?? "") || process.env.PGHOST || "localhost";
		const number = Number(port || (ports.length > 1 ? ports[index] : ports[0]) || process.env.PGPORT || 5432);
		if (!Number.isInteger(number) || number < 1 || number > 65_535) {
			throw badUrl("The port of the URL is none: it is a number from 1 to 65535.");
		}
		return { host, port: number };
	});
}

function decode(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		// Its message quotes what may be the password.
		throw badUrl(`The URL has a % that begins no encoded character: ${ENCODE}.`);
	}
}

function badUrl(message: string): PoolProblem {
	return new PoolProblem("bad-url", message);
}
