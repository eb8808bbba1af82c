import { describe, expect, it, vi } from "vitest";
import { hostNames } from "../support/hosts.ts";
import type { Rpc } from "../support/rpc.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { storedAccounts, storedLabels } from "./credentials-support.ts";
import {
	answersAt,
	browserBench,
	codeOf,
	expectPortsFree,
	noticeAfter,
	opened,
	PATIENCE_MS,
	readAddress,
	redirectOf,
	rpcOnDesk,
	type ShownSignIn,
} from "./sign-in-support.ts";
import { until } from "./support.ts";

// Other files of tests may have the ports when a test of this one begins.
vi.setConfig({ testTimeout: 300_000 });

/** Gives the command, and reads the address from its notice. */
async function begin(rpc: Rpc): Promise<ShownSignIn & { readonly done: Promise<void> }> {
	const from = rpc.notifications.length;
	const done = rpc.send("/multicodex add", 2 * PATIENCE_MS);
	// The test waits for it below; until then a failure is not an unhandled rejection.
	done.catch(() => undefined);
	return { done, ...readAddress(await noticeAfter(rpc, from, /^http/m)) };
}

describe("/multicodex add over RPC", () => {
	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"tells the address, opens the browser, and takes the callback while its question is open: pi $host",
		async ({ host }) => {
			const bench = await browserBench({ host });
			const rpc = rpcOnDesk(bench);
			const { url, done } = await begin(rpc);
			expect(await rpc.waitForDialog(PATIENCE_MS)).toMatchObject({ method: "input" });
			await until("the browser", () => opened(bench).length > 0, PATIENCE_MS);
			expect(opened(bench)).toEqual([url]);

			await fetch(url);
			await done;

			expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: expect.stringContaining("added a.") });
			expect(storedLabels(bench)).toEqual(["a"]);
			expect(rpc.strayLines).toEqual([]);
			await expectPortsFree();
			await rpc.command("set_model", { provider: "openai-codex", modelId: bench.host.model });
			expect(await rpc.prompt("say hi")).toMatchObject({ text: "OK from a #1" });
		},
	);

	it.each(
		coreOf([
			{ what: "the redirect address", pasted: (redirect: string) => redirect },
			{ what: "the code alone", pasted: codeOf },
		]),
	)("takes $what as an answer", async ({ pasted }) => {
		const bench = await browserBench();
		const rpc = rpcOnDesk(bench);
		const { url, done } = await begin(rpc);

		rpc.answer(await rpc.waitForDialog(PATIENCE_MS), pasted(await redirectOf(url)));
		await done;

		expect(storedLabels(bench)).toEqual(["a"]);
		await expectPortsFree();
	});

	wide.each(hostNames.map((host) => ({ host })))("is cancelled by a cancelled question: pi $host", async ({ host }) => {
		const bench = await browserBench({ host });
		const rpc = rpcOnDesk(bench);
		const { done, redirectUri } = await begin(rpc);
		expect(await answersAt(redirectUri.port)).toBe(true);

		rpc.answer(await rpc.waitForDialog(PATIENCE_MS), undefined);
		await done;

		expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: "Nothing was changed." });
		await expectPortsFree();
		expect(storedAccounts(bench)).toEqual([]);
		expect(bench.codex.tokenRequests()).toEqual([]);
		const again = await begin(rpc);
		await fetch(again.url);
		await again.done;
		expect(storedLabels(bench)).toEqual(["a"]);
	});

	it("reports a refusal as an error", async () => {
		const bench = await browserBench();
		bench.codex.denySignIn();
		const rpc = rpcOnDesk(bench);
		const { url, done } = await begin(rpc);

		await fetch(url);
		await done;

		expect(rpc.notifications.at(-1)).toMatchObject({
			level: "error",
			message: "The sign-in was refused in the browser.",
		});
		expect(storedAccounts(bench)).toEqual([]);
	});

	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"ends with its session: pi exits, the port is free, nothing is stored: pi $host",
		async ({ host }) => {
			const bench = await browserBench({ host });
			const rpc = rpcOnDesk(bench);
			const { redirectUri } = await begin(rpc);
			expect(await answersAt(redirectUri.port)).toBe(true);

			const result = await rpc.close(60_000);

			expect(result.signal).toBeNull();
			await expectPortsFree();
			expect(storedAccounts(bench)).toEqual([]);
			expect(bench.codex.tokenRequests()).toEqual([]);
		},
	);

	wide("ends when another session takes over, which can sign in itself", async () => {
		const bench = await browserBench();
		const rpc = rpcOnDesk(bench);
		const first = await begin(rpc);

		await rpc.command("new_session");

		await expectPortsFree();
		const second = await begin(rpc);
		expect(second.redirectUri.port).toBe(first.redirectUri.port);
		expect((await fetch(await redirectOf(first.url))).status).toBe(400);
		await fetch(second.url);
		await second.done;
		expect(storedLabels(bench)).toEqual(["a"]);
	});
});
