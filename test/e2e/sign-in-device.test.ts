import { describe, expect, it } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { EXPIRED_MS, storedAccounts, storedLabels } from "./credentials-support.ts";
import {
	approveOnDevice,
	beginOnDevice,
	benchWithoutAccounts,
	cancelSignIn,
	DEVICE_CODE,
	expectAdded,
	expectSignInGone,
	nextPoll,
	openTerminal,
	PATIENCE_MS,
	passingFast,
	polls,
	readCode,
	rpcOnDesk,
} from "./sign-in-support.ts";
import { besidesPi, createBench, resultLines, until } from "./support.ts";

describe("/multicodex add --device in a terminal", () => {
	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"shows a code, asks until it was typed, and the account serves the next prompt: pi $host",
		async ({ host }) => {
			const bench = await benchWithoutAccounts({ host });
			const terminal = await openTerminal(bench);

			const code = await beginOnDevice(terminal);

			expect(terminal.screen()).toContain(`${bench.codex.issuer}/codex/device`);
			await nextPoll(bench.codex);
			await nextPoll(bench.codex);
			expect(storedAccounts(bench)).toEqual([]);
			bench.codex.device.approve("b", code);
			await expectAdded(terminal, "b");
			expect(storedAccounts(bench)).toMatchObject([{ label: "b", source: "login", linked: false, needsLogin: null }]);
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			await terminal.submit("say hi");
			await terminal.waitForText("OK from b #1", PATIENCE_MS);
		},
	);

	wide.each([80, 40])("shows the code and the address whole at %s columns, and takes a label", async (cols) => {
		const bench = await benchWithoutAccounts();
		const terminal = await openTerminal(bench, { cols });

		const code = await beginOnDevice(terminal, "/multicodex add --device side");

		const lines = terminal.screen().split("\n");
		expect(lines.map((line) => line.trim())).toContain(code);
		expect(lines).toContain(`${bench.codex.issuer}/codex/device`);
		bench.codex.device.approve("b", code);
		await expectAdded(terminal, "side");
		expect(storedLabels(bench)).toEqual(["side"]);
	});

	it("ends when the code was not typed within a quarter of an hour, and says so", async () => {
		const bench = await benchWithoutAccounts();
		bench.codex.device.intervalSeconds = 53;
		const terminal = await openTerminal(bench, { env: passingFast(53_000, 100) });
		await terminal.submit("/multicodex add --device");

		await terminal.waitForText("The device code was not used within 15 minutes. Start again.", PATIENCE_MS);

		await expectSignInGone(terminal);
		expect(polls(bench.codex)).toHaveLength(Math.ceil((15 * 60) / 53));
		expect(storedAccounts(bench)).toEqual([]);
		expect(bench.codex.tokenRequests()).toEqual([]);
	});

	it("is cancelled by Esc: nothing is asked or stored any more, and it can be begun again", async () => {
		const bench = await benchWithoutAccounts();
		const terminal = await openTerminal(bench);
		const code = await beginOnDevice(terminal);
		await nextPoll(bench.codex);

		await cancelSignIn(terminal);
		await expectSignInGone(terminal);
		const asked = polls(bench.codex).length;
		bench.codex.device.approve("b", code);
		const again = await beginOnDevice(terminal);
		expect(again).not.toBe(code);
		bench.codex.device.approve("c", again);
		await expectAdded(terminal, "c");
		expect(storedLabels(bench)).toEqual(["c"]);
		expect(
			polls(bench.codex)
				.slice(asked)
				.map(({ body }) => body?.user_code),
		).not.toContain(code);
	});

	it.each(
		coreOf([
			{
				what: "device codes are switched off",
				sentence: "Device codes are switched off for this account.",
				prepare: (bench: Awaited<ReturnType<typeof benchWithoutAccounts>>) => {
					bench.codex.device.enabled = false;
				},
			},
			{
				what: "the person refuses on the other device",
				sentence: "The sign-in was refused on the other device.",
				prepare: (bench: Awaited<ReturnType<typeof benchWithoutAccounts>>) => {
					bench.codex.device.polls.next(answers.refuse(400, { error: { code: "access_denied" } }));
				},
			},
			{
				what: "the code is over for the service",
				sentence: "The device code was not used within 15 minutes. Start again.",
				prepare: (bench: Awaited<ReturnType<typeof benchWithoutAccounts>>) => {
					bench.codex.device.polls.next(answers.refuse(400, { error: "expired_token" }));
				},
			},
			{
				what: "the service does not know the code",
				sentence: "The sign-in service refused the device code (400). Start again.",
				prepare: (bench: Awaited<ReturnType<typeof benchWithoutAccounts>>) => {
					bench.codex.device.polls.next(answers.refuse(400, { error: { code: "deviceauth_invalid_request" } }));
				},
			},
		]),
	)("says that $what", async ({ sentence, prepare }) => {
		const bench = await benchWithoutAccounts();
		prepare(bench);
		const terminal = await openTerminal(bench);

		await terminal.submit("/multicodex add --device");

		await terminal.waitForText(sentence, PATIENCE_MS);
		await expectSignInGone(terminal);
		expect(storedAccounts(bench)).toEqual([]);
		expect(bench.codex.tokenRequests()).toEqual([]);
	});

	it.each(
		coreOf(
			[
				{
					what: "this region is blocked",
					answer: answers.regionBlocked(),
					sentence: "OpenAI does not offer Codex in the region",
				},
				{ what: "Cloudflare is in the way", answer: answers.cloudflare(), sentence: "Cloudflare blocked this machine" },
			],
			({ what }) => what.startsWith("Cloudflare"),
		),
	)("says, after the code was typed, that $what", async ({ answer, sentence }) => {
		const bench = await benchWithoutAccounts();
		bench.codex.token(answer);
		const terminal = await openTerminal(bench);

		bench.codex.device.approve("b", await beginOnDevice(terminal));

		await terminal.waitForText(sentence, PATIENCE_MS);
		expect(storedAccounts(bench)).toEqual([]);
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});
});

describe("a sign-in that fails before anything is shown", () => {
	it.each(coreOf(hostNames.flatMap((host) => ["add", "add --device"].map((command) => ({ host, command })))))(
		"gives the editor back: /multicodex $command, pi $host",
		async ({ host, command }) => {
			const bench = await benchWithoutAccounts({ host });
			const terminal = await openTerminal(bench, { env: { PI_MULTICODEX_AUTH_URL: "http://issuer.example" } });

			await terminal.submit(`/multicodex ${command}`);

			await terminal.waitForText("Error: PI_MULTICODEX_AUTH_URL must use https", PATIENCE_MS);
			await expectSignInGone(terminal);
			await terminal.submit("say hi");
			await terminal.waitForText("No API key found", PATIENCE_MS);
			expect(bench.codex.requests).toEqual([]);
		},
	);
});

describe("/multicodex add --device over RPC", () => {
	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"tells the code in a notice, and the account serves: pi $host",
		async ({ host }) => {
			const bench = await benchWithoutAccounts({ host });
			const rpc = rpcOnDesk(bench);

			const { done } = await approveOnDevice(bench, rpc, "/multicodex add --device", "b");
			await done;

			expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: expect.stringContaining("added b.") });
			expect(storedLabels(bench)).toEqual(["b"]);
			expect(rpc.strayLines).toEqual([]);
			await rpc.command("set_model", { provider: "openai-codex", modelId: bench.host.model });
			expect(await rpc.prompt("say hi")).toMatchObject({ text: "OK from b #1" });
		},
	);

	it.each(coreOf([{ answer: "Cancel" }, { answer: undefined }]))(
		"is cancelled by the answer $answer",
		async ({ answer }) => {
			const bench = await benchWithoutAccounts();
			const rpc = rpcOnDesk(bench);
			const done = rpc.send("/multicodex add --device");
			const dialog = await rpc.waitForDialog(PATIENCE_MS);
			expect(dialog).toMatchObject({ method: "select", options: ["Cancel"] });

			rpc.answer(dialog, answer);

			await done;
			expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: "Nothing was changed." });
			expect(storedAccounts(bench)).toEqual([]);
			expect(bench.codex.tokenRequests()).toEqual([]);
		},
	);

	wide("ends with the session: pi exits, and nothing is stored", async () => {
		const bench = await benchWithoutAccounts();
		const rpc = rpcOnDesk(bench);
		rpc.send("/multicodex add --device").catch(() => undefined);
		await rpc.waitForDialog(PATIENCE_MS);

		const result = await rpc.close(60_000);

		expect(result.signal).toBeNull();
		expect(storedAccounts(bench)).toEqual([]);
	});
});

describe("signing in without a screen", () => {
	it.each(
		coreOf(
			hostNames.flatMap((host) => [
				{ host, mode: [] },
				{ host, mode: ["--mode", "json"] },
			]),
		),
	)("is refused with the way that works, and exit code 1: pi $host $mode", async ({ host, mode }) => {
		const bench = await benchWithoutAccounts({ host });

		const result = await bench.run(["-p", ...mode, "/multicodex add"]);

		expect(result).toMatchObject({ code: 1, signal: null });
		expect(resultLines(mode.length > 0 ? result.stdout : "")).toEqual([]);
		if (mode.length === 0) expect(result.stdout).toBe("");
		expect(result.stderr).toContain("Add --device");
		expect(besidesPi(result.stderr).trim().split("\n")).toHaveLength(1);
		expect(bench.codex.requests).toEqual([]);
	});

	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"prints the code on stderr, waits for it, and tells the result on stdout: pi $host",
		async ({ host }) => {
			const bench = await benchWithoutAccounts({ host });
			const pi = bench.spawn(["-p", "/multicodex add work --device"]);
			await until("the code", () => DEVICE_CODE.test(pi.stderr()), PATIENCE_MS);
			expect(pi.stderr()).toContain(`${bench.codex.issuer}/codex/device`);
			expect(pi.stdout()).toBe("");

			bench.codex.device.approve("b", readCode(pi.stderr()));

			const result = await pi.wait();
			expect(result.code).toBe(0);
			expect(result.stdout).toMatch(
				/^Codex: added work\. The pool has 1 account now\.\nwork is .*\n.*the next one.*\n$/,
			);
			expect(besidesPi(result.stderr).trim().split("\n")).toHaveLength(1);
			expect(storedLabels(bench)).toEqual(["work"]);
			expect(await bench.print("say hi", ["--model", `openai-codex/${bench.host.model}`])).toMatchObject({
				code: 0,
				stdout: "OK from b #1\n",
			});
		},
	);

	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"tells the result in one line of JSON: pi $host",
		async ({ host }) => {
			const bench = await benchWithoutAccounts({ host });
			const pi = bench.spawn(["--mode", "json", "/multicodex add --device"]);
			await until("the code", () => DEVICE_CODE.test(pi.stderr()), PATIENCE_MS);

			bench.codex.device.approve("b", readCode(pi.stderr()));

			const result = await pi.wait();
			expect(result.code).toBe(0);
			expect(resultLines(result.stdout)).toEqual([
				{ type: "multicodex", command: "add", result: { account: { id: bench.id("b"), label: "b" }, isNew: true } },
			]);
		},
	);

	wide.each([{ mode: [] }, { mode: ["--mode", "json"] }])(
		"refuses any account but the one that was named, and changes nothing: $mode",
		async ({ mode }) => {
			const bench = await createBench({
				usage: answers.serverError(500),
				accounts: ["a"],
				strangers: ["b"],
				rows: { a: { needsLogin: { reason: "refresh_token_reused", at: Date.now() + EXPIRED_MS } } },
			});
			const before = bench.dir.read("codex-accounts.json");
			const pi = bench.spawn(["-p", ...mode, "/multicodex login a --device"]);
			await until("the code", () => DEVICE_CODE.test(pi.stderr()), PATIENCE_MS);

			bench.codex.device.approve("b", readCode(pi.stderr()));

			const result = await pi.wait();
			expect(result.code).toBe(1);
			expect(result.stderr).toContain("You signed in as b@example.test, not as a.");
			expect(resultLines(mode.length > 0 ? result.stdout : "")).toEqual([]);
			if (mode.length === 0) expect(result.stdout).toBe("");
			expect(bench.dir.read("codex-accounts.json")).toBe(before);
		},
	);
});
