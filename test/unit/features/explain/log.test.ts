import { visibleWidth } from "@mariozechner/pi-tui";
import { describe, expect, it } from "vitest";
import { DECISION_KINDS, type LoggedDecision } from "../../../../src/core/decision.ts";
import { POLICIES } from "../../../../src/core/request/policies.ts";
import { logAsJson, logAsText } from "../../../../src/features/explain/log.ts";
import { anAccount, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const accounts = [anAccount("work", { id: anId("1") }), anAccount("side", { id: anId("2") })];
const line = (decision: Partial<LoggedDecision> & Pick<LoggedDecision, "kind">): LoggedDecision => ({
	at: NOW,
	pid: 7,
	account: anId("1"),
	...decision,
});
const spoken = (decision: Parameters<typeof line>[0], columns = 78) =>
	logAsText([line(decision)], accounts, NOW, columns).replace(/^\d\d:\d\d {2}/, "");
const until = NOW + HOUR_MS;

describe("the log, for a person", () => {
	it("has words for every term that may decide", () => {
		const terms = new Set(["pin", "session", "reserve", "list", "credits", "reserve-model", "trial"]);
		for (const policy of Object.values(POLICIES)) for (const { name } of policy) terms.add(name);
		const texts = [...terms].map((decidedBy) => spoken({ kind: "chosen", decidedBy }));
		expect(new Set(texts).size).toBe(terms.size);
		for (const term of terms) expect(texts).not.toContain(`work: started, ${term}`);
	});

	it.each<[Parameters<typeof line>[0], RegExp]>([
		[{ kind: "chosen", decidedBy: "fresh" }, /^work: started, the freshest$/],
		[{ kind: "chosen" }, /^work: started, the only one/],
		[{ kind: "added", reason: "login" }, /^work: added, by a sign-in \(\d+ \w{3}\)$/],
		[{ kind: "added", reason: "import codex" }, /^work: added, import codex \(\d+ \w{3}\)$/],
		[{ kind: "removed" }, /^work: removed \(\d+ \w{3}\)$/],
		[{ kind: "merged", from: anId("1a2b3c4d5e6f") }, /^work: merged with its duplicate 1a2b3c4d5e6f \(\d+ \w{3}\)$/],
		[{ kind: "restored" }, /^work: put back \(/],
		[{ kind: "renamed" }, /^work: renamed \(/],
		[{ kind: "disabled" }, /^work: off, by hand \(/],
		[{ kind: "setting", setting: "rotation.maxWait", value: "8h" }, /^setting rotation\.maxWait is 8h \(/],
		[{ kind: "shared" }, /^work: moved into the shared pool, .* \(/],
		[{ kind: "unshared" }, /^work: taken out of .* pool, .* \(/],
		[{ kind: "pool-created", reason: "keeper" }, /^shared pool created \(/],
		[{ kind: "pool-joined", reason: "runner" }, /^shared pool joined, as a runner \(/],
		[{ kind: "pool-left" }, /^shared pool left \(/],
		[{ kind: "pool-new-keys" }, /^shared pool: new keys, .* \(/],
		[{ kind: "pool-away", reason: "no_rights" }, /^shared pool away: .* no rights/],
		[{ kind: "pool-away", reason: "of_a_later_version" }, /^shared pool away: of a later version$/],
		[{ kind: "pool-back" }, /^shared pool back$/],
		[{ kind: "renewed-elsewhere" }, /^work: .* by another machine$/],
		[{ kind: "backups-deleted", total: 2 }, /^backups .* deleted: 2 \(/],
		[
			{ kind: "rotated", from: anId("2"), reason: "usage_limit", window: "5h", until },
			/^side to work: 5h limit, back .*\d\d:\d\d$/,
		],
		[{ kind: "rotated", from: anId("2"), reason: "signed_out" }, /^side to work: signed out$/],
		[{ kind: "switched", from: anId("2"), reason: "policy" }, /^side to work: by policy$/],
		[{ kind: "switched", from: anId("2"), reason: "user" }, /^side to work: by hand$/],
		[{ kind: "pinned" }, /^work: pinned$/],
		[{ kind: "unpinned", account: undefined }, /^unpinned$/],
		[
			{ kind: "cooling", reason: "rate_limit", scope: "account", until },
			/^work: resting until .*\d\d:\d\d, rate limit$/,
		],
		[{ kind: "cooling", reason: "not_included", scope: "model:gpt-6", until }, /not included \(model gpt-6\)$/],
		[
			{ kind: "cooling", reason: "usage_limit", scope: "limit:base_model_inference", until },
			/^work: out of quota until .*\d\d:\d\d \(Luna Reserve\)$/,
		],
		[
			{ kind: "on-reserve-model", model: "gpt-6-luna", leftPercent: 40 },
			/^work: .* Luna Reserve \(gpt-6-luna\), 40% left$/,
		],
		[
			{ kind: "chain-serves", link: "anthropic/claude", paid: true, until },
			/^anthropic\/claude serves: .*, paid, work back /,
		],
		[
			{ kind: "chain-serves", link: "local/free", formerLink: "anthropic/claude", account: undefined },
			/^local\/free serves: in place of anthropic\/claude$/,
		],
		[{ kind: "chain-left", link: "local/free" }, /^the pool .* in place of local\/free$/],
		[
			{ kind: "link-closed", link: "local/free", reason: "quota", until },
			/^local\/free: not asked before .*\d\d:\d\d, out of quota$/,
		],
		[{ kind: "link-closed", link: "local/free", reason: "sign-in" }, /^local\/free: not asked, its sign-in or key /],
		[{ kind: "recovered", reason: "usage", scope: "account" }, /^work: back, by newer usage$/],
		[{ kind: "recovered", reason: "reset", scope: "account" }, /^work: back, by hand$/],
		[{ kind: "signed-out", reason: "refresh_token_reused" }, /^work: signed out, refresh token reused$/],
		[{ kind: "closed", reason: "account_deactivated" }, /^work: off, account deactivated$/],
		[{ kind: "last-one", window: "7d", leftPercent: 9.5 }, /^work: the last one, 9% .* week limit left$/],
		[
			{ kind: "exhausted", account: undefined, total: 4, cooling: 3, until },
			/^no account left: 3 of 4 .*, first back .*\d\d:\d\d$/,
		],
		[{ kind: "exhausted", total: 9, cooling: 6, untried: 3 }, /^gave up: 6 of 9 .*, 3 not tried$/],
		[
			{
				kind: "defect",
				reason: "request",
				error: "TypeError",
				frames: ["src/core/usage.ts:12:5", "src/core/request/serve.ts:1:1"],
			},
			/^a defect .*: TypeError at src\/core\/usage\.ts:12:5\s+\(request\)$/,
		],
		[{ kind: "defect", reason: "pi login" }, /^a defect .*: \? \(pi login\)$/],
		[{ kind: "signed-out", account: anId("gone") }, /^gone: signed out, \?$/],
	])("the log has words for %j", (decision, text) => {
		expect(spoken(decision)).toMatch(text);
	});

	it.each(["constructor", "toString", "valueOf", "hasOwnProperty"])("has %s as a word like any other", (word) => {
		for (const kind of DECISION_KINDS) {
			expect(spoken({ kind, reason: word, decidedBy: word, window: word, error: word })).not.toContain("[native code]");
		}
		expect(spoken({ kind: "added", reason: word })).toContain(`added, ${word}`);
	});

	it("has a sentence for every kind even if nothing else is known, and fits every width", () => {
		for (const kind of DECISION_KINDS) {
			for (let columns = 20; columns <= 200; columns += 5) {
				const text = logAsText([{ at: NOW, pid: 0, kind }], accounts, NOW, columns);
				expect(text).toMatch(/^\d\d:\d\d {2}\S/);
				for (const each of text.split("\n")) expect(visibleWidth(each)).toBeLessThanOrEqual(columns);
				expect(text).not.toContain("…");
			}
		}
	});

	it("tells the day of what was not today, and says when there is nothing", () => {
		expect(logAsText([line({ kind: "pinned", at: NOW - 40 * DAY_MS })], accounts, NOW, 78)).toMatch(/^1[01] Oct \d\d:/);
		expect(logAsText([], accounts, NOW, 78)).toMatch(/^No decision /);
	});
});

it("the log, for a program, is one document of ids and ISO times", () => {
	expect(logAsJson([line({ kind: "cooling", until, reason: "usage_limit" }), line({ kind: "pinned" })])).toEqual({
		version: 1,
		decisions: [
			{
				at: "2026-11-20T12:00:00.000Z",
				pid: 7,
				kind: "cooling",
				account: "1",
				reason: "usage_limit",
				until: "2026-11-20T13:00:00.000Z",
			},
			{ at: "2026-11-20T12:00:00.000Z", pid: 7, kind: "pinned", account: "1" },
		],
	});
});
