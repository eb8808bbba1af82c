import { userInfo } from "node:os";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type PoolUrl, parsePoolUrl } from "../../../../src/platform/shared-pool/pool-url.ts";
import { PoolProblem } from "../../../../src/platform/shared-pool/types.ts";

beforeEach(() => {
	for (const name of ["PGUSER", "PGPASSWORD", "PGDATABASE", "PGHOST", "PGPORT", "PGSSLMODE"])
		vi.stubEnv(name, undefined);
});
afterEach(() => {
	vi.unstubAllEnvs();
});

function problemOf(url: string): PoolProblem {
	try {
		parsePoolUrl(url);
	} catch (error) {
		if (error instanceof PoolProblem) return error;
		throw error;
	}
	throw new Error("the URL was taken");
}

describe("a URL of a database", () => {
	it.each<[string, Partial<PoolUrl>]>([
		[
			"postgres://pool:hunter@db.example/pi",
			{ hosts: [{ host: "db.example", port: 5432 }], user: "pool", password: "hunter", database: "pi" },
		],
		["postgresql://pool@db.example:6543", { hosts: [{ host: "db.example", port: 6543 }], database: "pool" }],
		["  postgres://pool@db.example/pi\n", { database: "pi" }],
		["postgres://p%40x:a%2Fb%3Ac%23@h/d%20b", { user: "p@x", password: "a/b:c#", database: "d b" }],
		// Letters that other parsers stop at, as providers put them into passwords.
		["postgres://pool:a#b:c@d@h/pi", { user: "pool", password: "a#b:c@d", hosts: [{ host: "h", port: 5432 }] }],
		["postgres://pool:12?34@h/pi", { user: "pool", password: "12?34", hosts: [{ host: "h", port: 5432 }] }],
		["postgres://h", { user: userInfo().username, password: "", database: userInfo().username }],
		["postgres:///pi", { hosts: [{ host: "localhost", port: 5432 }], database: "pi" }],
		["postgres://[::1]:6543/pi", { hosts: [{ host: "::1", port: 6543 }] }],
		[
			"postgres://one:1111,two,[::1]:3333/pi?port=2222",
			{
				hosts: [
					{ host: "one", port: 1111 },
					{ host: "two", port: 2222 },
					{ host: "::1", port: 3333 },
				],
			},
		],
		["postgres://%2Fvar%2Frun%2Fpostgresql/pi", { hosts: [{ host: "/var/run/postgresql", port: 5432 }] }],
		["postgres:///pi?host=/tmp&port=5433", { hosts: [{ host: "/tmp", port: 5433 }] }],
		["postgres://h/pi?user=u&password=p%26w&dbname=other", { user: "u", password: "p&w", database: "other" }],
	])("is taken apart as psql does: %s", (url, parts) => {
		expect(parsePoolUrl(url)).toMatchObject(parts);
	});

	it.each([
		["", "prefer"],
		["?sslmode=disable", "disable"],
		["?sslmode=require", "require"],
		["?sslmode=verify-full", "verify-full"],
		["?sslmode=require&sslrootcert=/ca.pem", "verify-ca"],
		["?sslrootcert=system", "verify-full"],
		// Without a binding of its own to the channel, the client has to look at the certificate to be as sure.
		["?sslmode=require&channel_binding=require", "verify-full"],
		["?channel_binding=prefer", "prefer"],
		["?ssl=true", "require"],
		["?ssl=true&sslmode=verify-full", "verify-full"],
		["?ssl=false", "prefer"],
	])("says how sure the connection has to be: %s", (query, mode) => {
		expect(parsePoolUrl(`postgres://h/pi${query}`).tls.mode).toBe(mode);
	});

	it("hands on the files, the password of the key and the versions that it names", () => {
		const query = "sslcert=/c&sslkey=/k&sslpassword=p&ssl_min_protocol_version=tlsv1.3&sslnegotiation=direct";
		expect(parsePoolUrl(`postgres://h/pi?sslmode=verify-full&sslrootcert=/r&${query}`).tls).toEqual({
			mode: "verify-full",
			root: "/r",
			certificate: "/c",
			key: "/k",
			passphrase: "p",
			least: "TLSv1.3",
			most: undefined,
			isDirect: true,
		});
	});

	it("passes over what providers add for other clients, and asks the server for nothing of it", () => {
		const url = "postgres://h/pi?pgbouncer=true&connection_limit=1&schema=public&target_session_attrs=any";
		expect(parsePoolUrl(url).parameters).toEqual({ application_name: "pi-multicodex" });
	});

	it("hands the server the options that are for it", () => {
		expect(parsePoolUrl("postgres://h/pi?options=-c%20x%3D1&application_name=me").parameters).toEqual({
			application_name: "me",
			options: "-c x=1",
		});
	});

	it("is completed by the variables that psql reads", () => {
		vi.stubEnv("PGUSER", "who");
		vi.stubEnv("PGPASSWORD", "word");
		vi.stubEnv("PGSSLMODE", "verify-full");
		expect(parsePoolUrl("postgres://h/pi")).toMatchObject({
			user: "who",
			password: "word",
			tls: { mode: "verify-full" },
		});
	});

	it("is named in sentences without its user and password", () => {
		expect(parsePoolUrl("postgres://pool:hunter@db.example/pi?password=other").place).toBe("db.example:5432/pi");
	});

	it.each([
		["", "That is not the URL of a Postgres database"],
		["db.example/pi", "That is not the URL of a Postgres database"],
		["https://pool:hunter@db.example/pi", "That is not the URL of a Postgres database"],
		["postgress://pool:hunter@db.example/pi", "That is not the URL of a Postgres database"],
		["mysql://pool:hunter@db.example/pi", "That is not the URL of a Postgres database"],
		["postgres:/pool:hunter@db.example/pi", "That is not the URL of a Postgres database"],
		["postgres://pool:hun/ter@db.example/pi", "The host or port of the URL cannot be read"],
		["postgres://pool:12/hunter@db.example/pi", "The host or port of the URL cannot be read"],
		["postgres://pool:hunter%@db.example/pi", "The URL has a % that begins no encoded character"],
		["postgres://pool:hunter@db.example:99999/pi", "The port of the URL is none"],
		["postgres://pool:hunter@db.example:0/pi", "The port of the URL is none"],
		["postgres://pool:hunter@db:1:2/pi", "The host or port of the URL cannot be read"],
		["postgres://pool:hunter@h/pi?sslmode=verifyfull", "The sslmode of the URL is none"],
		["postgres://pool:hunter@h/pi?ssl_min_protocol_version=SSLv3", "The URL names a version of TLS that there is not"],
		["postgres://pool:hunter@h/pi?sslcrl=/crl", "The URL has an option that is not understood (sslcrl)"],
		["postgres://pool:hunter@h/pi?sslmod=verify-full", "The URL has an option that is not understood (sslmod)"],
	])("that cannot be read is refused with one sentence without the password: %s", (url, sentence) => {
		const { kind, message } = problemOf(url);
		expect(kind).toBe("bad-url");
		expect(message).toContain(sentence);
		expect(message).not.toMatch(/hun|ter@/);
	});
});
