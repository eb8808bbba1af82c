import { describe, expect, it } from "vitest";
import { noticeOf } from "../../../src/features/notices/texts.ts";
import { whatNow, whySignedOut } from "../../../src/ui-kit/account-texts.ts";
import { anAccount, NOW } from "../../support/fakes.ts";

describe("why a sign-in is over", () => {
	it.each([
		["refresh_token_expired", "its sign-in has expired"],
		["refresh_token_reused", "its sign-in was used by another program"],
		["refresh_token_invalidated", "its sign-in was revoked"],
		["app_session_terminated", "its session was ended"],
		["some_new_code", "some new code"],
	])("%s: %s", (reason, words) => {
		expect(whySignedOut(anAccount("work"), reason)).toBe(words);
	});

	it("may be a clash with the tool that it came from, which is named as people know it", () => {
		const from = (source: string) => whySignedOut(anAccount("work", { source }), "refresh_token_reused");
		expect(from("import:codex")).toMatch(/shared with Codex CLI, which has used or ended it/);
		expect(from("import:codex-pool")).toMatch(/shared with opencode codex-pool,/);
		expect(from("import:pi-multicodex-2")).toMatch(/shared with pi-multicodex-2,/);
		expect(from("pi")).toMatch(/used by another program/);
		const imported = anAccount("work", { source: "import:codex" });
		expect(whySignedOut(imported, "refresh_token_expired")).toBe("its sign-in has expired");
	});

	it("comes with what to type, in a notice and wherever the account is shown", () => {
		const account = anAccount("day job", { needsLogin: { reason: "refresh_token_expired", at: NOW } });
		expect(whatNow(account)).toMatch(/ expired\. \/multicodex login "day job"$/);
		const notice = noticeOf({ type: "signed-out", account, reason: "refresh_token_expired" }, NOW);
		expect(notice?.text).toMatch(/day job was .*: .* expired\. \/multicodex login "day job"$/);
	});

	it("goes behind that the account is off", () => {
		const account = anAccount("a", { enabled: false, needsLogin: { reason: "revoked", at: NOW } });
		expect(whatNow(account)).toBe("off (by hand). /multicodex enable a");
		expect(whatNow(anAccount("a"))).toBe("ready");
	});
});
