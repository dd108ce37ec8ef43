"""Labels of buttons, their windows and what they answer, in Simplified Chinese, by the English words."""

from __future__ import annotations

BUTTONS: dict[str, str] = {
    "Vary (Subtle)": "变化（细微）",
    "Vary (Strong)": "变化（强烈）",
    "Vary (Region)": "变化（局部）",
    "Upscale (Subtle)": "放大（细微）",
    "Upscale (Creative)": "放大（创意）",
    "Zoom Out 2x": "拉远 2 倍",
    "Zoom Out 1.5x": "拉远 1.5 倍",
    "Custom Zoom": "自定义拉远",
    "Zoom Out": "拉远",
    "Make Square": "变为方形",
    "Seed & parameters": "种子与参数",
    "Cancel": "取消",
    "Paint": "绘制",
    "Name it": "用文字指定",
    "What to repaint, for example: the sky": "要重画什么，例如：天空",
    "What should be painted anew? Choose one or more of the numbered fields, then press Paint. Or name what "
    "you mean, such as the sky.": (
        "要重画哪里？请选择一个或多个带编号的格子，再按“绘制”。也可以用文字指定，例如天空。"
    ),
    "Choose one or more of the numbered fields first, then press Paint.": (
        "请先选择一个或多个带编号的格子，再按“绘制”。"
    ),
    "Name what should be painted anew, for example: the sky.": "请写出要重画什么，例如：天空。",
    "`--zoom` must be a number from 1 to 2, for example `--zoom 1.5`.": (
        "`--zoom` 必须是 1 到 2 之间的数，例如 `--zoom 1.5`。"
    ),
    "A window makes one job: leave `{a, b}` and `--repeat` out, or use /imagine for several.": (
        "一个窗口只做一个任务：请去掉 `{a, b}` 和 `--repeat`，或用 /imagine 一次画多个。"
    ),
    "The picture's file is gone; press re-roll to have new ones painted.": (
        "图片文件已经不在了；请按重画按钮画新的。"
    ),
    "Kept among your favourites; it is hidden, so `/history` shows it to its owner alone.": (
        "已加入你的收藏；这张图是隐藏的，所以 `/history` 只向主人显示它。"
    ),
    "Kept among your favourites; in this server `/history` with `favourites` shows them.": (
        "已加入你的收藏；在本服务器用 `/history` 的 `favourites` 可以看到。"
    ),
    "Kept among your favourites; `/history` with `favourites` shows them.": (
        "已加入你的收藏；用 `/history` 并选择“收藏”即可查看。"
    ),
    "Taken out of your favourites.": "已从你的收藏中移除。",
    "Regions cannot be named here; choose numbered fields instead. For the operator: {reason}": (
        "这里不能用文字指定区域；请改选带编号的格子。给运营者：{reason}"
    ),
    "This window was open for too long, or I was started anew meanwhile: I no longer know what it was for. "
    "Please open it again.": "这个窗口开得太久，或我在此期间重启过：我已不知道它的用途。请重新打开。",
    "I no longer have what this button was for: it is of another version of me.": (
        "这个按钮已失效：它来自我的另一个版本。"
    ),
    "This prompt is too long for a window, which holds {most} characters; use /imagine to change it.": (
        "这条提示词太长，窗口只能容纳 {most} 个字符；请用 /imagine 修改。"
    ),
}
