import type { ChildProcess } from "node:child_process";

/** An opener that still runs after this long has become the browser, ms. */
const STARTED_AFTER_MS = 3000;

/** A program started to open an address. */
type Opener = Pick<ChildProcess, "exitCode" | "once">;

// Loaded at first use: every start of pi would pay for it, and few people sign in.
async function startOpener(url: string): Promise<Opener> {
	const { default: open } = await import("open");
	return open(url);
}

/** Opens `url` in the person's browser. False if none can be started. */
export async function openInBrowser(url: string, start = startOpener): Promise<boolean> {
	// Over SSH it would open on the remote machine's screen.
	if (process.env.SSH_CONNECTION) return false;
	try {
		const opener = await start(url);
		if (opener.exitCode !== null) return opener.exitCode === 0;
		return await new Promise((resolve) => {
			const timer = setTimeout(() => resolve(true), STARTED_AFTER_MS);
			timer.unref();
			opener.once("exit", (code) => {
				clearTimeout(timer);
				resolve(code === 0);
			});
		});
	} catch {
		// Nothing here opens addresses. The screen shows this one.
		return false;
	}
}
