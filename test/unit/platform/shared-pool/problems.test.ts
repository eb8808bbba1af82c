import { describe, expect, it } from "vitest";
import { toPoolProblem } from "../../../../src/platform/shared-pool/problems.ts";
import { PoolProblem } from "../../../../src/platform/shared-pool/types.ts";

const PLACE = "db.example:5432/pi";

/** As the driver gives it: with the parameters of the statement. */
const ofServer = (code: string, message = "said") =>
	Object.assign(new Error(message), { code, severity: "ERROR", parameters: ["sealed"], query: "select" });
const ofNetwork = (code: string) => Object.assign(new Error("failed"), { code });

describe("a problem with the database", () => {
	it.each([
		["ECONNREFUSED", "away", "was refused"],
		["ENOTFOUND", "away", "is not known"],
		["EAI_AGAIN", "away", "could not be looked up"],
		["EHOSTUNREACH", "away", "cannot be reached from here"],
		["ENETUNREACH", "away", "cannot be reached from here"],
		["ETIMEDOUT", "away", "did not answer in time"],
		["CONNECT_TIMEOUT", "away", "did not answer in time"],
		["ECONNRESET", "away", "was cut off"],
		["EPIPE", "away", "was cut off"],
		["CONNECTION_CLOSED", "away", "was cut off"],
		["CONNECTION_DESTROYED", "away", "was cut off"],
		["ENOENT", "away", "There is no socket"],
		["EACCES", "away", "may not be opened by this user"],
		["ERR_MODULE_NOT_FOUND", "unexpected", "npm install"],
		["MODULE_NOT_FOUND", "unexpected", "restart pi"],
		["DEPTH_ZERO_SELF_SIGNED_CERT", "untrusted", "is not trusted here"],
		["SELF_SIGNED_CERT_IN_CHAIN", "untrusted", "is not trusted here"],
		["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "untrusted", "is not trusted here"],
		["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "untrusted", "is not trusted here"],
		["CERT_HAS_EXPIRED", "untrusted", "has expired"],
		["ERR_TLS_CERT_ALTNAME_INVALID", "untrusted", "is for another host"],
		["ERR_SSL_WRONG_VERSION_NUMBER", "untrusted", "No encrypted connection"],
		["ERR_OSSL_PEM_NO_START_LINE", "untrusted", "No encrypted connection"],
		["SASL_SIGNATURE_MISMATCH", "refused", "could not prove"],
		["EWHATEVER", "unexpected", "(EWHATEVER)"],
	])("a network problem %s is %s", (code, kind, part) => {
		const problem = toPoolProblem(ofNetwork(code), PLACE);
		expect(problem).toMatchObject({ kind, message: expect.stringContaining(part) });
		expect(problem.message).toMatch(/^[A-Z].*\.$/);
	});

	it.each([
		["28P01", "refused", "refused the user or its password"],
		["28000", "refused", "refused the user or its password"],
		["3D000", "bad-url", "There is no database db.example:5432/pi"],
		["42501", "no-rights", "GRANT CREATE ON DATABASE"],
		["25006", "read-only", "the URL of the primary"],
		["53100", "full", "The disk of"],
		["53200", "full", "is out of memory"],
		["53300", "away", "has no connection free"],
		["57P01", "away", "is stopping, starting"],
		["57P03", "away", "is stopping, starting"],
		["57014", "away", "is stopping, starting"],
		["08006", "away", "was cut off"],
		["40001", "away", "was busy"],
		["55P03", "away", "was busy"],
		["3F000", "no-pool", "There is no pool in"],
		["42P01", "no-pool", "There is no pool in"],
		["42703", "no-pool", "belongs to something else"],
		["42883", "no-pool", "belongs to something else"],
	])("that the server answers with, %s, is %s", (code, kind, part) => {
		const problem = toPoolProblem(ofServer(code), PLACE);
		expect(problem).toMatchObject({ kind, message: expect.stringContaining(part) });
		expect(problem.message).toMatch(/^[A-Z].*\.$/);
	});

	it.each([
		'no pg_hba.conf entry for host "10.0.0.1", user "pool", database "pi", no encryption',
		'no pg_hba.conf entry for host "10.0.0.1", user "pool", database "pi", SSL off',
		"SSL required",
		"connection is insecure (try using `sslmode=require`)",
	])("that asks for an encrypted connection is no wrong login: %s", (message) => {
		expect(toPoolProblem(ofServer("28000", message), PLACE).message).toContain("add sslmode=require to the URL");
	});

	it("that the server answers with an unknown error quotes it, unless it may quote a value", () => {
		expect(toPoolProblem(ofServer("XX000", "Tenant\u001b[1m not found"), PLACE).message).toMatch(
			/ db\.example:5432\/pi .*\(XX000: Tenant\?\[1m not found\)\.$/,
		);
		expect(toPoolProblem(ofServer("22P02", "invalid input: a value"), PLACE).message).not.toContain("a value");
	});

	it.each<[string, unknown]>([
		["is no error", "text"],
		["has a code of no kind", Object.assign(new Error("x"), { code: "constructor" })],
		["came of an answer that is none of ours", new TypeError("cannot read")],
	])("that %s is unexpected", (_, error) => {
		expect(toPoolProblem(error, PLACE).kind).toBe("unexpected");
	});

	it("keeps what was found out, and nothing that the driver has put into it", () => {
		const found = Object.assign(new PoolProblem("revoked", "A sentence."), { parameters: ["sealed"] });
		const problem = toPoolProblem(found, PLACE);
		expect(problem).toMatchObject({ kind: "revoked", message: "A sentence." });
		expect(problem).not.toHaveProperty("parameters");
		expect(toPoolProblem(ofServer("28P01"), PLACE)).not.toHaveProperty("parameters");
	});
});
