import { describe, expect, it } from "vitest";
import type { Finding, FindingCode } from "../../../../src/features/verify/rules.ts";
import { verifiedAsJson, verifiedAsText } from "../../../../src/features/verify/view.ts";
import { verifySchema } from "../../../../src/pi/json-schemas.ts";
import { anAccount, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const CODES: Readonly<Record<FindingCode, true>> = {
	"file-good": true,
	"file-unreadable": true,
	"file-broken": true,
	"file-newer": true,
	"file-older": true,
	"rows-strange": true,
	"directory-unwritable": true,
	"file-read-only": true,
	"permissions-good": true,
	"permissions-wide": true,
	leftover: true,
	quarantined: true,
	"lock-held": true,
	"lock-stale": true,
	"lock-ahead": true,
	"lock-strange": true,
	"pool-empty": true,
	"pool-unusable": true,
	"sign-ins-good": true,
	"tokens-due": true,
	"sign-in-lost": true,
	"sign-in-shared": true,
	"account-off": true,
	"link-gone": true,
	"link-behind": true,
	"link-elsewhere": true,
	"link-twice": true,
	"link-unusable": true,
	"pi-key": true,
	"plan-login": true,
	"plan-login-used": true,
	"endpoint-good": true,
	"endpoint-unknown": true,
	"endpoint-refused": true,
	"endpoint-silent": true,
	"endpoint-untrusted": true,
	"endpoint-failing": true,
	"endpoint-challenge": true,
	"clock-good": true,
	"clock-wrong": true,
	"host-tried": true,
	"host-untried": true,
	"host-old": true,
	"node-good": true,
	"from-source": true,
	"node-old": true,
	"rival-none": true,
	"rival-another": true,
	"rival-not-visible": true,
	"switched-off": true,
	"chain-good": true,
	"chain-no-host": true,
	"chain-unknown": true,
	"chain-virtual": true,
	"chain-unsigned": true,
	"chain-not-offered": true,
	"setting-bad": true,
	"set-holds": true,
	"set-empty": true,
	"set-account-gone": true,
	"set-folder-gone": true,
	"cap-kept": true,
	"cap-reached": true,
	"cap-unreported": true,
	"cap-account-gone": true,
	"shared-good": true,
	"shared-away": true,
	"shared-no-listen": true,
	"shared-clock": true,
	"shared-journal": true,
	defects: true,
	environment: true,
	"reset-credit-ends": true,
	"tls-unchecked": true,
};
const account = anAccount("my label", { id: anId("0123456789ab"), email: "me@work.example" });
const aFinding = (code: string, overrides: Partial<Finding> = {}): Finding => ({
	code: code as FindingCode,
	level: "warning",
	subject: undefined,
	figure: undefined,
	detail: undefined,
	...overrides,
});
const seen = (findings: readonly Finding[]) => ({ findings, repairs: [], isFixing: false, accounts: [account] });
const line = (finding: Finding) => verifiedAsText(seen([finding])).split("\n")[1];

describe("the words of an account set", () => {
	const set = aFinding("set-account-gone", { figure: 1, detail: "/home/me/client" });

	it("the words of an account set name its folder to a person, and no path in a document", () => {
		expect(line(set)).toMatch(/ of \/home\/me\/client names 1 account that is not /);
		expect(verifiedAsJson(seen([set])).findings[0]?.text).toMatch(/ of a folder names 1 account that /);
	});
});

describe("the words of what was verified", () => {
	it.each(Object.keys(CODES))("the words are a whole sentence, and hold nothing that was not told: %s", (code) => {
		const finding = aFinding(code, { subject: account.id, figure: 2, detail: "Something is so." });
		const text = verifiedAsJson(seen([finding])).findings[0]?.text;
		expect(text).toMatch(/^\S.*[.)]$/);
		expect(text).not.toMatch(/undefined|NaN|!/);
	});

	it("the words name an account by its label on the screen, and by its id alone in the document", () => {
		const finding = aFinding("sign-in-lost", { subject: account.id, detail: "refresh_token_reused" });
		expect(line(finding)).toMatch(/^warning {2}my label is .* another program\. \/multicodex login "my label"$/);
		const json = JSON.stringify(verifiedAsJson(seen([finding])));
		expect(json).toContain("/multicodex login 0123456789ab");
		expect(json).not.toMatch(/label|work\.example/);
	});

	it("the words say what a shared pool is waiting for, and which way its clock differs", () => {
		expect(line(aFinding("shared-clock", { figure: 600_000 }))).toContain("is 10m ahead of");
		expect(line(aFinding("shared-clock", { figure: -600_000 }))).toContain("is 10m behind");
		expect(line(aFinding("shared-away", { figure: NOW, detail: "Join again." }))).toMatch(
			/shared pool .* since .*\d\d:\d\d: Join again\.$/,
		);
		expect(line(aFinding("shared-journal", { figure: 1 }))).toMatch(/1 sign-in .* renewed waits /);
		expect(line(aFinding("file-broken", { subject: "codex-pool.json", detail: "us" }))).toContain("/multicodex join");
	});

	it("the words say which way the clock is wrong, and how wide permissions are", () => {
		expect(line(aFinding("clock-wrong", { figure: 600_000 }))).toContain("is 10m slow");
		expect(line(aFinding("clock-wrong", { figure: -600_000 }))).toContain("is 10m fast");
		expect(line(aFinding("permissions-wide", { subject: ".", figure: 0o755 }))).toMatch(
			/agent directory .*\(755\)\. \/multicodex verify --fix$/,
		);
	});

	it("the words name a certificate that is not trusted, and the variable that mends it", () => {
		const finding = aFinding("endpoint-untrusted", { subject: "issuer", detail: "SELF_SIGNED_CERT_IN_CHAIN" });
		expect(line(finding)).toMatch(/sign-in service .*\(SELF_SIGNED_CERT_IN_CHAIN\).*NODE_EXTRA_CA_CERTS/);
	});

	it("the words say when a reset credit is lost, and how it is spent", () => {
		const finding = aFinding("reset-credit-ends", { level: "note", subject: account.id, figure: NOW });
		expect(line(finding)).toMatch(/^note {2}.* my label expires 20 Nov 12:00\. \/multicodex redeem "my label" /);
	});

	it("the words begin with how much there is, and tell what was repaired", () => {
		const head = (...levels: Finding["level"][]) =>
			verifiedAsText(seen(levels.map((level) => aFinding("pool-empty", { level })))).split("\n")[0];
		expect(head("ok", "note")).toMatch(/^No problems/);
		expect(head("problem", "warning", "warning")).toBe("1 problem, 2 warnings.");
		const ok = aFinding("pool-empty", { level: "ok" });
		const fixing = { ...seen([ok]), isFixing: true };
		expect(verifiedAsText(fixing).split("\n")[1]).toMatch(/nothing to repair/);
		const left = aFinding("lock-stale", { level: "warning", subject: "auth.json.lock" });
		expect(verifiedAsText({ ...fixing, findings: [left] }).split("\n")[1]).toMatch(/^Nothing could/);
		const repairs = [
			{ kind: "permissions", subject: "." },
			{ kind: "set-aside", subject: "x.corrupt-1" },
		] as const;
		expect(verifiedAsText({ ...fixing, repairs })).toMatch(/\n.*agent directory .* only by you\.\n.* x\.corrupt-1\.\n/);
	});

	it("the words make a document as it is promised", () => {
		const document = verifiedAsJson({
			...seen([aFinding("file-broken", { level: "problem", subject: "auth.json", detail: "pi" })]),
			repairs: [{ kind: "lock", subject: "auth.json.lock" }],
		});
		expect(verifySchema.parse(document)).toEqual(document);
		expect(document).toMatchObject({ healthy: false, findings: [{ level: "problem", subject: "auth.json" }] });
	});
});

it("findings about many accounts are written in linear time", () => {
	const many = 400;
	let reads = 0;
	const accounts = Array.from({ length: many }, (_, at) => {
		const account = anAccount(`a${at}`);
		return Object.defineProperty({ ...account }, "id", {
			get: () => {
				reads += 1;
				return account.id;
			},
		});
	});
	const findings = accounts.map(({ id }): Finding => {
		return { code: "account-off", level: "note", subject: id, figure: undefined, detail: undefined };
	});
	const found = { findings, repairs: [], isFixing: false, accounts };
	expect(verifiedAsText(found).split("\n")).toHaveLength(many + 1);
	expect(verifiedAsJson(found).findings).toHaveLength(many);
	expect(reads).toBeLessThan(10 * many);
});
