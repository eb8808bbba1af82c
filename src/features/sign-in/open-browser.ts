import type { ChildProcess } from "node:child_process";

/** An opener that is still running after this while has become the browser, ms. */
const STARTED_AFTER_MS = 3000;

/** A program that was started to open an address. */
type Opener = Pick<ChildProcess, "exitCode" | "once">;

// Loaded when it is wanted: every start of pi would pay for it, and few sign in.
async function startOpener(url: string): Promise<Opener> {
	const { default: open } = await import("open");
	return open(url);
}

/** Opens `url` in the person's browser. False where there is none that can be started. */
export async function openInBrowser(url: string, start = startOpener): Promise<boolean> {
	// Over SSH it would open on the screen of the machine at the far end.
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
		// Nothing here opens addresses: this one is on the screen.
		return false;
	}
}
