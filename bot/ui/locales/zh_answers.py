"""What the bot answers and refuses, in Simplified Chinese, by the English sentences."""

from __future__ import annotations

ANSWERS: dict[str, str] = {
    # Credit
    "Only admins may see or change quotas; /info shows your own.": (
        "只有管理员可以查看或修改额度；/info 显示你自己的额度。"
    ),
    "This job costs {price} and you have {left} left of {limit} for this {window}; it refills {when}. "
    "Nothing was taken.": "这个任务要 {price}，而你本{window}的 {limit} 还剩 {left}；{when} 重置。没有扣费。",
    "This job costs {price}, more than the {limit} you have for a whole {window}; ask for fewer pictures "
    "with `--n`. What is spent refills {when}. Nothing was taken.": (
        "这个任务要 {price}，超过你每{window}的 {limit}；请用 `--n` 减少张数。"
        "已用的额度 {when} 重置。没有扣费。"
    ),
    "{day} at {time} UTC (<t:{moment}:R>)": "世界时 {day} {time}（<t:{moment}:R>）",
    "{number} image": "{number} 张图",
    "{number} images": "{number} 张图",
    "{number} GPU second": "{number} GPU 秒",
    "{number} GPU seconds": "{number} GPU 秒",
    "hour": "小时",
    "day": "日",
    "month": "月",
    "You have no credit here; ask an admin for some. Nothing was taken.": (
        "你在这里没有额度；请向管理员申请。没有扣费。"
    ),
    "The amount must be a number from {least:g} to {most:.0f}, not {amount:g}.": (
        "数量必须在 {least:g} 到 {most:.0f} 之间，不能是 {amount:g}。"
    ),
    "**Jobs** {running} running, {waiting} waiting": "**任务** {running} 个进行中，{waiting} 个等待中",
    "**Jobs** {running} running, {waiting} waiting, all ready about <t:{ready}:R>": (
        "**任务** {running} 个进行中，{waiting} 个等待中，全部完成约在 <t:{ready}:R>"
    ),
    "1 job before it; ready about <t:{ready}:R>": "前面还有 1 个任务；约 <t:{ready}:R> 完成",
    "{ahead} jobs before it; ready about <t:{ready}:R>": "前面还有 {ahead} 个任务；约 <t:{ready}:R> 完成",
    "**So far** jobs: {jobs}, {images}, {seconds}": "**累计** {jobs} 个任务，{images}，{seconds}",
    "**Granted on top** {amount}": "**额外赠送** {amount}",
    "**Credit** unlimited": "**额度** 不限",
    "**This hour** {left} left of {limit}, full again <t:{refill}:R>": (
        "**本小时** {limit} 中还剩 {left}，<t:{refill}:R>重置"
    ),
    "**This day** {left} left of {limit}, full again <t:{refill}:R>": (
        "**今日** {limit} 中还剩 {left}，<t:{refill}:R>重置"
    ),
    "**This month** {left} left of {limit}, full again <t:{refill}:R>": (
        "**本月** {limit} 中还剩 {left}，<t:{refill}:R>重置"
    ),
    "Quota of {name}:": "{name} 的额度：",
    "{limit} (set by an admin)": "{limit}（由管理员设置）",
    "not set here": "此处未设置",
    "unlimited": "不限",
    "none at all": "完全没有",
    "Left now:": "现在剩余：",
    "- per hour: {limit}": "- 每小时：{limit}",
    "- per day: {limit}": "- 每日：{limit}",
    "- per month: {limit}": "- 每月：{limit}",
    "everyone in this server": "本服务器所有人",
    "Give a user or a role as target, or `default` as scope, not both.": (
        "请指定用户或身份组为 target，或写 scope 为 `default`，不要两者都写。"
    ),
    "Quotas belong to a server; use this command in one.": "额度属于服务器；请在服务器里使用此命令。",
    "Per {window}, {name}: {allowed} from now on.": "从现在起，{name} 每{window}：{allowed}。",
    "Gave {amount} to {name}.": "已给 {name} {amount}。",
    "Reset {name}: full credit again, limits as configured.": "已重置 {name}：额度已满，限制恢复为配置的值。",
    # The queue
    "You already have {unfinished} jobs that are not done; {running} may run and {waiting} may wait. Try "
    "again when one is finished, or cancel one. Nothing was taken.": (
        "你已有 {unfinished} 个任务未完成；最多 {running} 个进行、{waiting} 个等待。"
        "请等一个完成后再试，或取消一个。没有扣费。"
    ),
    "Prompts with {word!r} are not painted here; leave it out and try again. Nothing was taken.": (
        "这里不画含有 {word!r} 的提示词；请去掉后再试。没有扣费。"
    ),
    "The bot is about to restart; try again in a minute. Nothing was taken.": (
        "机器人即将重启；请一分钟后再试。没有扣费。"
    ),
    "This would take about {minutes:.0f} minutes, and here Discord lets me answer for 15; ask in a server "
    "that I am a member of. Nothing was taken.": (
        "这大约需要 {minutes:.0f} 分钟，而在这里 Discord 只让我在 15 分钟内回答；"
        "请到我所在的服务器里下单。没有扣费。"
    ),
    "Cancelled. It cost you nothing.": "已取消，没有扣费。",
    "It is too late to cancel this one: it is already done.": "来不及取消了：它已经完成。",
    "It stopped the engine {count} times, so it is given up. It cost you nothing.": (
        "它让引擎停止了 {count} 次，因此已放弃。没有扣费。"
    ),
    "I was ended {count} times while I painted it, so it is given up. It cost you nothing.": (
        "画它时我被中断了 {count} 次，因此已放弃。没有扣费。"
    ),
    "{error} It cost you nothing.": "{error}没有扣费。",
    # Buttons
    "Only the one who asked for this picture, or an admin, may delete it.": "只有下单的人或管理员能删除它。",
    "Only the one who asked for this picture, or an admin, may cancel it.": "只有下单的人或管理员能取消它。",
    "That picture is still being painted; press the button again when it is done.": (
        "这张图还在画；完成后请再按一次。"
    ),
    "There is no such picture; choose one of the grid's.": "没有这张图；请选择这一组里的一张。",
    "The picture's file is gone, and its model {model} is no longer installed here; press re-roll for new "
    "ones.": "图片文件已不在，它的模型 {model} 也不再安装；请按重画得到新的图。",
    "The picture this button belongs to was deleted; start anew with /imagine.": (
        "这个按钮所属的图片已删除；请用 /imagine 重新开始。"
    ),
    "That picture no longer exists; start anew with /imagine.": "这张图已不存在；请用 /imagine 重新开始。",
    "A zoom by 1 in the same shape leaves nothing to paint; choose more than 1, up to 2.": (
        "比例不变时缩放 1 倍没有可画的内容；请选择大于 1、不超过 2 的值。"
    ),
    "This picture is upscaled already; go back to the one it was made from to upscale that another way.": (
        "这张图已经放大过了；想换一种方式放大，请回到放大前的那张图。"
    ),
    "This picture is square already; use Zoom Out to see more of it.": (
        "这张图已是正方形；想看到更多请用“拉远”。"
    ),
    "I no longer have this job: it was deleted, or belongs to another copy of me. Use /imagine with the "
    "prompt above to paint it again.": (
        "我已没有这个任务：它被删除了，或属于另一个我。请用上面的提示词通过 /imagine 重画。"
    ),
    "This button belongs to another server; use /imagine to paint it here.": (
        "这个按钮属于另一个服务器；请在这里用 /imagine 重画。"
    ),
    "This job has not finished yet; press the button again when its pictures are there.": (
        "这个任务还没完成；等图片出来后请再按一次。"
    ),
    "Deleted: the pictures and what I stored of them are gone.": "已删除：图片和我存储的相关内容都没有了。",
    "I heard you the first time: that one is on its way. For one more, press again in a moment.": (
        "已收到，正在处理。如果还要一份，请稍后再按。"
    ),
    # Pictures from outside
    "The picture you attached is no longer kept; attach it again.": "你附上的图片已不再保存；请重新附上。",
    "{link} leads to an address that is not on the public internet; upload the picture instead.": (
        "{link} 指向的地址不在公共互联网上；请改为上传图片。"
    ),
    "{link} sends me on more than {most} times; link the picture itself.": (
        "{link} 的跳转超过 {most} 次；请给出图片本身的链接。"
    ),
    "{name} is larger than {most:.3g} MiB; make it smaller.": "{name} 大于 {most:.3g} MiB；请缩小。",
    "{link} cannot be reached; check the link, or upload the picture.": (
        "无法访问 {link}；请检查链接，或上传图片。"
    ),
    "{link}: port {port} is not visited; use a link without a port number.": (
        "{link}：不访问端口 {port}；请用不带端口号的链接。"
    ),
    "{link} answered with error {status}; try the link in a browser.": (
        "{link} 返回错误 {status}；请在浏览器里试试这个链接。"
    ),
    "{link} did not answer in time; try again or upload the picture.": (
        "{link} 没有及时响应；请重试或上传图片。"
    ),
    "{name} has more than {most:g} million pixels; make it smaller.": (
        "{name} 超过 {most:g} 百万像素；请缩小。"
    ),
    "{name} takes too long to read; save it as a plain PNG or JPEG.": (
        "读取 {name} 太久；请另存为普通的 PNG 或 JPEG。"
    ),
    "{name} is not a picture I can read; PNG, JPEG, WebP and GIF are taken.": (
        "{name} 不是我能读的图片；接受 PNG、JPEG、WebP 和 GIF。"
    ),
    "Discord did not hand over the attached picture; please attach it again.": (
        "Discord 没有交出附上的图片；请重新附上。"
    ),
    # Places and rights
    "view channel": "查看频道",
    "send messages": "发送消息",
    "send messages in threads": "在子区内发送消息",
    "attach files": "添加文件",
    "Discord did not say which channel this is; please try again in a text channel.": (
        "Discord 没有说明这是哪个频道；请在文字频道里重试。"
    ),
    "I may not post pictures in this channel (missing: {missing}). Ask an admin to allow it, or use another "
    "channel.": "我不能在这个频道发图片（缺少：{missing}）。请让管理员开启，或换一个频道。",
    "You may not use this command here.": "你不能在这里使用此命令。",
    # When something goes wrong
    "Sorry, something went wrong on my side; nothing was charged that was not painted. Please try again, and "
    "if it happens again, give the operator this reference: `{reference}`.": (
        "抱歉，我这边出了问题；没有画出来的不扣费。请重试；若再次发生，请把此编号告诉运营者：`{reference}`。"
    ),
    "My disk is full or cannot be written, so I could not take this down: nothing was taken. Tell the "
    "operator (reference `{reference}`), and try again later.": (
        "我的磁盘已满或无法写入，这次没能记下：什么都没有扣。请告诉运营者（编号 `{reference}`），稍后再试。"
    ),
    "I could not read {value!r}; please choose from what Discord offers.": (
        "我读不懂 {value!r}；请从 Discord 给出的选项里选择。"
    ),
    "Your prompt was:": "你的提示词是：",
    "Your prompt is attached.": "你的提示词在附件里。",
    # Preferences
    "You have {most} options already; take one away first: /prefer option set with its name and no value.": (
        "你已有 {most} 个选项；请先去掉一个：用 /prefer option set 写名字、不写内容。"
    ),
    "You have no option {name}; /prefer option list shows yours.": (
        "你没有选项 {name}；/prefer option list 显示你的选项。"
    ),
}
