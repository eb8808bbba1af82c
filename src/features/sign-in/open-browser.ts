/** An opener that is still running after this while has become the browser, ms. */
const STARTED_AFTER_MS = 3000;

/** Opens `url` in the person's browser. False where there is none that can be started. */
export async function openInBrowser(url: string): Promise<boolean> {
	// Over SSH it would open on the screen of the machine at the far end.
	if (process.env.SSH_CONNECTION) return false;
	try {
		// Loaded when it is wanted: every start of pi would pay for it, and few sign in.
		const { default: open } = await import("open");
		const opener = await open(url);
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
