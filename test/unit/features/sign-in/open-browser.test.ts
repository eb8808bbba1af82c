import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openInBrowser } from "../../../../src/features/sign-in/open-browser.ts";

const openedUrls: string[] = [];

/** A program that was started to open an address. */
const anOpener = (exitCode: number | null = null) => Object.assign(new EventEmitter(), { exitCode });
const opensWith = (opener: EventEmitter & { exitCode: number | null }) =>
	openInBrowser("https://x.test/", async (url) => {
		openedUrls.push(url);
		return opener as unknown as ChildProcess;
	});

beforeEach(() => {
	openedUrls.length = 0;
	// The machine that runs this may be one at the far end.
	vi.stubEnv("SSH_CONNECTION", undefined);
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllEnvs();
});

describe("opening a browser", () => {
	it.each([
		["has done it", 0, true],
		["has failed", 3, false],
		["was killed", null, false],
	])("opening a browser is as its opener says, which %s", async (_what, code, isOpen) => {
		const opener = anOpener();
		const opened = opensWith(opener);
		await vi.waitFor(() => expect(opener.listenerCount("exit")).toBe(1));
		opener.emit("exit", code);
		expect(await opened).toBe(isOpen);
		expect(openedUrls).toEqual(["https://x.test/"]);
	});

	it.each([
		[0, true],
		[1, false],
	])("opening a browser is as its opener said that is gone already, with %s", async (code, isOpen) => {
		expect(await opensWith(anOpener(code))).toBe(isOpen);
	});

	it("has worked if the opener has become the browser", async () => {
		const opener = anOpener();
		const opened = opensWith(opener);
		await vi.waitFor(() => expect(opener.listenerCount("exit")).toBe(1));
		await vi.advanceTimersByTimeAsync(3000);
		expect(await opened).toBe(true);
	});

	it("opening a browser is not tried over SSH: it would open at the far end", async () => {
		vi.stubEnv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
		expect([await opensWith(anOpener(0)), openedUrls]).toEqual([false, []]);
	});

	it("has not worked if nothing can be started", async () => {
		const starting = () => Promise.reject(new Error("spawn xdg-open ENOENT"));
		expect(await openInBrowser("https://x.test/", starting)).toBe(false);
	});
});
