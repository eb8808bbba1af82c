import { userInfo } from "node:os";
import { PoolProblem } from "./types.ts";

/** Values of `sslmode`, with the meaning that libpq gives them. */
type TlsMode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full";
const TLS_MODES: readonly TlsMode[] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/** Values of `ssl_min_protocol_version`, as both libpq and Node write them. */
type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
const TLS_VERSIONS: readonly TlsVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/** One server in the URL, or the folder of a socket on this machine. */
export interface PoolHost {
	readonly host: string;
	readonly port: number;
}

/** A parsed Postgres URL. Contains the password. */
export interface PoolUrl {
	/** Tried in this order, until one can be written to. */
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
		/** Passphrase of the key. */
		readonly passphrase: string | undefined;
		/** Lowest and highest version of the protocol. */
		readonly least: TlsVersion | undefined;
		readonly most: TlsVersion | undefined;
		/** True for TLS from the first byte, which PostgreSQL 17 supports. */
		readonly isDirect: boolean;
	};
	/** Parameters that the server sets for the connection. */
	readonly parameters: Readonly<Record<string, string>>;
	/** The database as named in a sentence, without user and password. */
	readonly place: string;
}

const FORM = /^(postgres(?:ql)?):\/\/(?:([^/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/is;
const ENCODE = "a character such as / ? @ % in a user name or a password is written as %2F %3F %40 %25";

/**
 * Parses a URL as psql does, except that unknown options are ignored: providers add options for other clients. Unknown
 * options that start with `ssl` are not ignored.
 * @throws a {@link PoolProblem} that contains nothing of the URL but its host
 */
export function parsePoolUrl(text: string): PoolUrl {
	const [, scheme, login, authority = "", path = "", query = ""] = FORM.exec(text.trim()) ?? [];
	if (scheme === undefined) {
		throw badUrl(
			"That is not the URL of a Postgres database: one begins with postgres:// and names a host and a database.",
		);
	}
	const options = optionsOf(query);
	// The password contains a `/`, so that the user and the beginning of the password look like host and port.
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

/** Returns the URL with the next server in the first place. */
export function nextServer(url: PoolUrl): PoolUrl {
	const [first, ...rest] = url.hosts;
	return first ? { ...url, hosts: [...rest, first] } : url;
}

/** Options that are understood, or that ask for something that is so anyway. */
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
 * `channel_binding=require` asks for certainty about the server. A client that cannot bind channels must verify the
 * certificate instead.
 */
function tlsModeOf(options: ReadonlyMap<string, string>): TlsMode {
	if (options.get("channel_binding") === "require") return "verify-full";
	const wanted = options.get("sslmode") || (isYes(options.get("ssl")) ? "require" : process.env.PGSSLMODE);
	if (options.get("sslrootcert") === "system") return "verify-full";
	if (wanted === undefined) return "prefer";
	const mode = TLS_MODES.find((each) => each === wanted);
	if (mode === undefined) throw badUrl(`The sslmode of the URL is none: it may be ${TLS_MODES.join(", ")}.`);
	// As in libpq: naming a root means verifying it.
	return mode === "require" && options.has("sslrootcert") ? "verify-ca" : mode;
}

/** Other clients write this for `sslmode=require`. */
function isYes(ssl: string | undefined): boolean {
	return ssl !== undefined && !["0", "false", "no", "off", "disable"].includes(ssl);
}

function versionOf(wanted: string | undefined): TlsVersion | undefined {
	if (wanted === undefined || wanted === "") return undefined;
	const version = TLS_VERSIONS.find((each) => each.toLowerCase() === wanted.toLowerCase());
	if (version) return version;
	throw badUrl(`The URL names a version of TLS that there is not: it may be ${TLS_VERSIONS.join(", ")}.`);
}

/** `system` means Node's own roots, which are used without a file. */
function fileOf(value: string | undefined): string | undefined {
	return value === "" || value === "system" ? undefined : value;
}

function hostsOf(authority: string, portOption: string | undefined): readonly PoolHost[] {
	const ports = (portOption ?? "").split(",");
	return authority.split(",").map((each, index) => {
		// Empty if the form does not match, as in `host:port:more`.
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
		// The error's message quotes what may be the password.
		throw badUrl(`The URL has a % that begins no encoded character: ${ENCODE}.`);
	}
}

function badUrl(message: string): PoolProblem {
	return new PoolProblem("bad-url", message);
}
