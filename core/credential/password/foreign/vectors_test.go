package foreign_test

import (
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/credential/password/foreign"
)

const (
	horse = "correct horse"
	long  = "a very much longer passphrase, which even stretches over more than one block of SHA-512, as some people like to type them in: 0123456789 0123456789"
)

type vector struct{ source, password, hash string }

// published are known answers from specifications and from the projects that made the forms.
func published() []vector {
	return []vector{
		{"RFC 7914 §12", "password", `$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA`},
		{"RFC 7914 §12", "pleaseletmein", `$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw`},
		{"RFC 6070 §2", "password", `$pbkdf2$4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE`},
		{"RFC 6070 §2", "passwordPASSWORDpassword", `$pbkdf2-sha1$i=4096,l=25$c2FsdFNBTFRzYWx0U0FMVHNhbHRTQUxUc2FsdFNBTFRzYWx0$PS7sT+QchJuAyNg2YsDkSospGpZM8vBwOA`},
		{"RustCrypto pbkdf2, of stackoverflow.com/a/5136918", "passwordPASSWORDpassword", `$pbkdf2-sha256$i=4096,l=40$c2FsdFNBTFRzYWx0U0FMVHNhbHRTQUxUc2FsdFNBTFRzYWx0$NIyJ28vTKy8y2BS4EW6EzysXNH68GAAYHE4qH7jdU+HGNVGMfaxH6Q`},
		{"SHA-crypt.txt", "Hello world!", `$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1`},
		{"SHA-crypt.txt", "Hello world!", `$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.`},
		{"SHA-crypt.txt", "This is just a test", `$6$rounds=5000$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0`},
		{"SHA-crypt.txt", "a very much longer text to encrypt.  This one even stretches over morethan one line.", `$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1`},
		{"SHA-crypt.txt", "the minimum number is still observed", `$6$rounds=1000$roundstoolow$kUMsbe306n21p9R.FRkW3IGn.S9NPN0x50YhH1xhLsPuWGsUSklZt58jaTfF4ZEQpyUNGc0dqbpBYYBaHHrsX.`},
		{"SHA-crypt.txt", "Hello world!", `$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5`},
		{"SHA-crypt.txt", "Hello world!", `$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA`},
		{"SHA-crypt.txt", "the minimum number is still observed", `$5$rounds=1000$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC`},
		{"php-src, crypt_sha512.phpt", "foo", `$6$$QMXjqd7rHQZPQ1yHsXkQqC1FBzDiVfTHXL.LaeDAeVV.IzMaV9VU4MQ8kPuZa2SOP1A0RPm772EaFYjpEJtdu.`},
		{"Openwall, crypt_blowfish", "U*U", `$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW`},
		{"Openwall, crypt_blowfish", "U*U*", `$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK`},
		{"Openwall, crypt_blowfish", "U*U*U", `$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a`},
		{"Openwall, crypt_blowfish", "", `$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy`},
		{"Openwall, phpass", "test12345", `$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0`},
		{"github.com/firebase/scrypt", "user1password", `$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==$Bw==$jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==`},
		{"github.com/firebase/scrypt", "user1password", `$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC-ixf3L2lw==$lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==`},
		{"Ory Kratos, a project's own export", "8x4WjoDbSxJZdR", `$firescrypt$ln=14,r=8,p=1$sPtDhWcd1MfdAw==$xbSou7FOl6mChCyzpCPIQ7tku7nsQMTFtyOZSXXd7tjBa4NtimOx7v42Gv2SfzPQu1oxM2/k4SsbOu73wlKe1A==$Bw==$YE0dO4bwD4JnJafh6lZZfkp1MtKzuKAXQcDCJNJNyeCHairWHKENOkbh3dzwaCdizzOspwr/FITUVlnOAwPKyw==`},
		{"dotnet/aspnetcore, PasswordHasherTest, v2", "my password", `AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJg==`},
		{"dotnet/aspnetcore, PasswordHasherTest, v3", "my password", `AQAAAAAAAAD6AAAAEAhftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M`},
		{"dotnet/aspnetcore, PasswordHasherTest, v3", "my password", `AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==`},
		{"dotnet/aspnetcore, PasswordHasherTest, v3", "my password", `AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw`},
		{"dotnet/aspnetcore, PasswordHasherTest, v3", "my password", `AQAAAAIAAAD6AAAAIJbVi5wbMR+htSfFp8fTw8N8GOS/Sje+S/4YZcgBfU7EQuqv4OkVYmc4VJl9AGZzmRTxSkP7LtVi9IWyUxX8IAAfZ8v+ZfhjCcudtC1YERSqE1OEdXLW9VukPuJWBBjLuw==`},
		{"npm aspnet-identity-pw", "!passwordSecure123ASPV2", `AFcg3t2gm81Guu+i08t6u4Hm00M1COvYfXvX8jwHMIBxS0sVsj6UHkk2qww8l4x/QA==`},
		{"npm aspnet-identity-pw", "!passwordSecure123ASPV3", `AQAAAAEAACcQAAAAEHheUovUgwiWJ7YO0aLoq2/TvJYEdPiBlNJplaMUaQKQPSu7SHMgf0zsEnhCVijJ0w==`},
		{"github.com/bwalding/ruby-drupal-hash", "password1234", `$S$DeIZ1KTE.VzRvudZ5.xgOakipuMFrVyPmRdWTjAdYieWj27NMglI`},
		{"a WordPress 6.8 site", "grimoire-test-123", `$wp$2y$12$iWN5xRwDE7i9R5jVJvCyqOxS1CNnwUggQaF8O2W9Bg8TuXQz.ngrS`},
	}
}

// made are known answers from other implementations at hand: OpenSSL 3.0, apache2-utils 2.4, whois 5.5 (mkpasswd, on libxcrypt),
// the argon2 reference program, PHP 8.2, Passlib 1.7.4, Django 3.2, Python 3.11.
func made() []vector {
	return []vector{
		{"openssl passwd -1", horse, `$1$s4ltS4lt$AJzB0j6Ix6HYnbU0UBuQz1`},
		{"openssl passwd -apr1", horse, `$apr1$s4ltS4lt$S9QGL8.wANnwZr7BNwUrD.`},
		{"openssl passwd -5", horse, `$5$s4ltS4lt$p9XKXutmDq7ZBdOQDESh77VWADPiniM8UQAV6x8SnN2`},
		{"openssl passwd -6", horse, `$6$s4ltS4lt$ehBOcmNtPQYx6ngLZu.CqMZ.ORUNrDiLQ2G2WVg/zteCZ3u.ZHKzEHA9glvwIpOAn3EhjU0nf35Sgv/AqSUKt1`},
		{"htpasswd -nbm", horse, `$apr1$IkneAdmF$waiMhe2EolU6ltP7esyjT.`},
		{"htpasswd -nbB -C 5", horse, `$2y$05$r1pD1eaWx7xdK5pSESvDRePiUij62Mftet5/f8y5SAsAOTtsqsoSa`},
		{"htpasswd -nbs", horse, `{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=`},
		{"mkpasswd -m sha-512 -R 1000", horse, `$6$rounds=1000$abcdefghij$57VhV9CI.QAlZ3oyRvZgdq7HVMQzw89Rt3EOVEWmuazCTV1ybLyShPa5wJWClUG4FkMjPQrttTxKyUq6MG7T1.`},
		{"mkpasswd -m sha-256 -R 1234", horse, `$5$rounds=1234$abcdefghij$yvmSFyRL83.5LjyPAWxA7ZYefxGJ/lDCKHk9EOjNYB1`},
		{"mkpasswd -m bcrypt -R 4", horse, `$2b$05$ggXyXLB4RXT2LXghxcrvN.Osf4B3S3z1X6tYZ4I4WuzswaOlz/9ba`},
		{"mkpasswd -m bcrypt-a -R 4", horse, `$2a$05$rcYV0Uh65WOdHf.e8S9qx.vDqiWHoGFuXdFC5Lk66/3d6Bw.IrF0.`},
		{"argon2 CLI -i", horse, `$argon2i$v=19$m=256,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$pugtCg87mWUcNtaSdAVuZf7pe44CMcfenpx3g3bk7BM`},
		{"argon2 CLI -id", horse, `$argon2id$v=19$m=256,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$7spm2x4WHG8c8C+Y0OpAgx/lehOzaF6sfo6KPWr/D3Y`},
		{"PHP password_hash bcrypt cost 5", horse, `$2y$05$vviv2XAV6woftVp.i7pqJO0.jp0hgS/GyRMf01x2SFUcLaHifWhw.`},
		{"PHP password_hash argon2i", horse, `$argon2i$v=19$m=64,t=2,p=1$RGRuTlltcDd0bld5RmlPUw$yi6T/YpcEudQOUhX0jS75TA9QP1cGVaYo4vWmmK/fU4`},
		{"PHP crypt $6$", horse, `$6$rounds=1000$saltstring$YiR6NSM0LQXmu7vAhkMXfkdYk7qtFouVx1Mdr3HmzXspT8kONjlpU3CsV7ezCB62uXJoAdaagsH4ck7/tB9js.`},
		{"PHP crypt $5$", horse, `$5$rounds=1000$saltstring$95Bg/RfV2QriLpMdLPHK9el0Ighm6E3CBqMKzZKgCa2`},
		{"PHP crypt $1$", horse, `$1$saltstri$CVtlMpOHug1.jDUbVpFvB1`},
		{"PHP crypt $2y$, 76 bytes (cut at 72)", strings.Repeat("x", 72) + "tail", `$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i`},
		{"PHP as WordPress 6.8's wp_hash_password", horse, `$wp$2y$04$ZFDV/3X5o5xgdI7bFdHxauwYSvY7eq0QyHK3a79pnGmzEjzxHbPEC`},
		{"PHP crypt $6$, UTF-8", "pässwörd-日本語", `$6$rounds=1000$saltstring$hpuCUnDM2aZzPqOTWPQuXLanaI1uIsX.BYZqyNPaVJCNiLd7/7eToAbLvcwMlyaHekGjbCqIG0Vpjc5eAoWUG1`},
		{"PHP crypt $6$, 148 bytes", long, `$6$rounds=1000$x$t8YjOVoWGJE0JAF3Vjt8FioVsZYJrS8jbbuaTNVnyaaASSz.ezQqIgyFp6kymoNZPQ43ws3pa4xgvxsM.w15X1`},
		{"PHP crypt $5$, 148 bytes", long, `$5$rounds=1000$x$5BlGPERWsSO5xaa1E6JMfNu7f0OZxBrlwThkcHCukx2`},
		{"PHP crypt $1$, 148 bytes", long, `$1$x$0jbqsTA2XMLpfT6VmK/Ch.`},
		{"passlib scrypt", horse, `$scrypt$ln=4,r=8,p=1$nrPWurcW4hyDkBLCOAcg5A$gsdMCPjrP2Z0y5sasf15pxqARbpNN1VIeHsHgexLE28`},
		{"passlib pbkdf2_sha1", horse, `$pbkdf2$1000$lFJqbc3Zew9h7D1HKAVgzA$k7oxW2rELz5ZK0GOOr5nS7a41Jg`},
		{"passlib pbkdf2_sha256", horse, `$pbkdf2-sha256$1000$Nua8F2LMOWeM8V4rJYRwzg$fEblZ9XHjmaB/PHaMFk4fovyMgHTtCSmyUJApWVNUCk`},
		{"passlib pbkdf2_sha512", horse, `$pbkdf2-sha512$1000$6p2z9j4nBOC8FwJgbE1p7Q$lg48uIGXUEnM3cZ7Xe.TpJgiJHZxnvvk4DVrVtcRRKH5mTXZjWMC8dqPB/7pHVxb.KZAU4JFe9gNHIeibO8n7Q`},
		{"passlib ldap_pbkdf2_sha1", horse, `{PBKDF2}1000$F4JwTsnZW.u9dw5hbK2V0g$smTt.KzgR0hycYN/FEOgXiuByqw`},
		{"passlib ldap_pbkdf2_sha256", horse, `{PBKDF2-SHA256}1000$P6f0/n9PiVEKYQyhdC5FKA$gt72EwOhDShRVZ1K1aLOAHI39tS12SlleUaA1ugRMO8`},
		{"passlib ldap_pbkdf2_sha512", horse, `{PBKDF2-SHA512}1000$7J2ztlYqJUSodc55D.E8hw$X9HSTxBbz/txETyu8WvdZnNt3JBy/yaRe4.UuqJ/qOythSp3PhXVVxT.tFJPvQVcUKf8e3HETqB.d6CxkySf6Q`},
		{"passlib ldap_md5", horse, `{MD5}PLTnMmMfR+brlh80VUt83g==`},
		{"passlib ldap_sha1", horse, `{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=`},
		{"passlib ldap_salted_md5", horse, `{SMD5}C2klSiI3V5wk7xdmlg4eYNJ6b00=`},
		{"passlib ldap_salted_sha1", horse, `{SSHA}8o1IC+5KRqZ2ZR/Kk49aM+vY/1a2lrJW`},
		{"passlib ldap_salted_sha256", horse, `{SSHA256}9Phy3q0EeFOacDjz7sOnLssKtm4zQhfvwbA674T7neL6n9PaG6OUcg==`},
		{"passlib ldap_salted_sha512", horse, `{SSHA512}0hiofHh4KhYegvCj5A75bdslm7o5mREGsijwL1M8BiVrDchEmpGYZQzMIXFY+21woHH7vTPV7YOXrXNEkUqP0mZsbQ2BMIbQ`},
		{"passlib phpass", horse, `$P$5T7A6p3XUBLAxnWcW1JXwwaLKXVEu./`},
		{"passlib phpass (phpBB)", horse, `$H$5.YCDzYYieyCLarTmNEnlkOy9EWSZX.`},
		{"passlib ldap_sha512_crypt", horse, `{CRYPT}$6$rounds=1000$Dc8GHuEzfhniSisf$Le/a13XDrmnLQAo7MlVjxNBtUfyQI3E8Uwn6p2BGZl5dVTmHyxIMzqTZozYW/.6FVnaqnUbwg1jEVSzb9IOfD.`},
		{"passlib ldap_md5_crypt", horse, `{CRYPT}$1$10KFgTSA$BL02d18nDeYKfE4A3ZiMA/`},
		{"passlib bcrypt_sha256 v2", horse, `$bcrypt-sha256$v=2,t=2b,r=4$Bm4CLIgHJTfxG11cmMZ2Ru$NmXcyYjnWppxqJVl5KSslA3ZqOH03DW`},
		{"passlib django_pbkdf2_sha256", horse, `pbkdf2_sha256$1000$xdEl4QNGWeyC$9ELqORUb/CGKMq8C/4DKGTK3QQt5d4ewlfSXTv8+Hy4=`},
		{"passlib django_salted_sha1", horse, `sha1$tb7olcQ8EAQq$28064cfe4451e23a34202f6efb98f611b108f3ff`},
		{"passlib django_salted_md5", horse, `md5$Ygk1W0H1Jx41$78eefdab948e06ff4f7548ac17cfec0e`},
		{"Django 3.2.25 PBKDF2PasswordHasher", horse, `pbkdf2_sha256$1000$XLHFRo8i6z9rWNybrZc9n1$lN4QnSyJ5w+dKCYCpl5rgoO3YjrfLFbBVZ3dz7H3UuM=`},
		{"Django 3.2.25 PBKDF2SHA1PasswordHasher", horse, `pbkdf2_sha1$1000$GnPO4QtEZGya2DeqnCeUNY$rxVUi1A3duLUNw/gw45xeGsYxoA=`},
		{"Django 3.2.25 Argon2PasswordHasher", horse, `argon2$argon2id$v=19$m=256,t=2,p=2$T21RZzFBMlhSSzA0N1BieDEyRkNyOA$Ll4yxPy3CFU500x/6b1eRg`},
		{"Django 3.2.25 BCryptPasswordHasher", horse, `bcrypt$$2b$04$MMRebWhadUA3Nri5yV0VguEt7Z2il1WR5OP1Ea21Yu0pCcwLdAqnG`},
		{"Django 3.2.25 BCryptSHA256PasswordHasher", horse, `bcrypt_sha256$$2b$04$gmzq0PdVd8zmGjqF2uG0fOiVxZdTgC3Rub2Se9GTzZFtc7KlPTtia`},
		{"Django 3.2.25 MD5PasswordHasher", horse, `md5$niyYOJB2SoGhQcVyF2bHIu$4fb80d7ad23de05165c560477bbeb706`},
		{"Django 3.2.25 SHA1PasswordHasher", horse, `sha1$DG5yfp6ipXFeoKJt07LcJL$5f22a007f64f4b6afffcaad1b9552e3d0522ce55`},
		{"Django 3.2.25 UnsaltedSHA1PasswordHasher", horse, `sha1$$2f9e53523b62abc141a2b4d6019d23cba835dbd0`},
		{"Python hashlib.scrypt in the form of Django 4's ScryptPasswordHasher", horse, `scrypt$16$saltysalt$8$1$Fh/v5Hyv0c7077JnlG0gmV6oJqluLs5OcgitX44gAoi75DdHkQxjJ25JJk6DVhXkHiVkU/7pVts7S4lpkn7ghg==`},
		{"Python hashlib.pbkdf2_hmac sha1 in the form of ASP.NET Core Identity v3", horse, `AQAAAAAAAAPoAAAAEAABAgMEBQYHCAkKCwwNDg+d2FbDdriytxO2vgdAVMuIpGVW4BGF6o0NJn8znGUhaQ==`},
		{"Python hashlib.pbkdf2_hmac sha256 in the form of ASP.NET Core Identity v3", horse, `AQAAAAEAAAPoAAAAEAABAgMEBQYHCAkKCwwNDg/JFMxPBsxuj0bRV+Ohtap6vO67F7sERM1MSsFsoq6YZA==`},
		{"Python hashlib.pbkdf2_hmac sha512 in the form of ASP.NET Core Identity v3", horse, `AQAAAAIAAAPoAAAAEAABAgMEBQYHCAkKCwwNDg9enHTtaNXHi8Ii+uYFGPy46hVW0aomq1S/YnluGLNJCw==`},
		{"Python hashlib.pbkdf2_hmac in the form of ASP.NET Identity v2", horse, `AAABAgMEBQYHCAkKCwwNDg+d2FbDdriytxO2vgdAVMuIpGVW4BGF6o0NJn8znGUhaQ==`},
		{"Python hashlib after Drupal 7's password.inc", horse, `$S$5abcdefgh1a6.dJ1tZevY/pNVmJUHlSdP27BmV.aAOg3VVmpNGRj`},
		{"Python hashlib after Drupal 7's update of Drupal 6", horse, `U$S$5abcdefghoUspUYINXtkU89m8uN5ZrbHkoMTv1maJSfKcSDdOiWO`},
		{"Python hashlib", horse, `$raw-md5$3cb4e732631f47e6eb961f34554b7cde`},
		{"Python hashlib", horse, `$raw-sha1$2f9e53523b62abc141a2b4d6019d23cba835dbd0`},
		{"Python hashlib", horse, `$raw-sha256$4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631`},
		{"Python hashlib", horse, `$raw-sha384$02b20a6f2ebb1360a9a60f4cf90857363ed419c022b121567ce5f91c6e39664fb78fd60234c4a58b5bfc7145ae983292`},
		{"Python hashlib", horse, `$raw-sha512$56b698defedb5a435b634afe3320bbaf3fdcd920b6c503a446fc7b7a776b298d479d1ba6a8b617808eb0bf579ce9a95d668347bcab7149085ac93cb27995197b`},
		{"Python hashlib", horse, `$raw-md5$salt-first$cGVwcGVy$52f36768c11844771e5f7ff576e2dba2`},
		{"Python hashlib", horse, `$raw-sha256$salt-last$cGVwcGVyIQ==$c33f92a96c70ce9f993708659505f21ce1fa76d7d2946c546968d334c55920fa`},
		{"Python hmac", horse, `$hmac-sha256$YSBrZXk=$016e117dc5b7a48dae8c380130a714a082d8908bfdb4c7fbea205c15d0452cf1`},
		{"Python hashlib", horse, `{SHA384}ArIKby67E2Cppg9M+QhXNj7UGcAisSFWfOX5HG45Zk+3j9YCNMSli1v8cUWumDKS`},
		{"Python hashlib", horse, `{ssha384}DmL0L/TIkhl2xTUzM83DJ+of9brseJF0RBoRbDmCKb4XbIqowO3Veco0DfuDxzu+MTIzNDU2Nzg=`},
		{"Python hashlib", horse, `{sha512}VraY3v7bWkNbY0r+MyC7rz/c2SC2xQOkRvx7endrKY1HnRumqLYXgI6wv1ec6aldZoNHvKtxSQhayTyyeZUZew==`},
		{"Python hashlib.pbkdf2_hmac, PHC", horse, `$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHQ$+sUSD8jw4f8ns7m9b7kj8PeJLe8lJXO8Am09BLgO79k`},
		{"Python hashlib.scrypt, PHC", horse, `$scrypt$ln=5,r=4,p=3$c2FsdHNhbHQ$TqfmrIgAzt6KY9++luz33+XgatnWnuZrEYTgWPRvWU4`},
		{"Python hashlib.scrypt in Werkzeug's form", horse, `scrypt:32:8:1$saltsalt$faa3b51e9ac71d1da716c9538d7fceecc6c11ddbe1e4428f4393f424d6dcbba7af4eb5512c3d9b0d9547d124d157d12a7744c466d7e20b28278350abbf476899`},
		{"Python hashlib.pbkdf2_hmac in Werkzeug's form", horse, `pbkdf2:sha256:1000$saltsalt$a900cf4996b73ab9b2cbda0ad4fbb464b2f03f64afce6c77caef0ebc376afc9d`},
		{"passlib bcrypt_sha256 v1", horse, `$bcrypt-sha256$2b,4$4ESVo6LjKftMqlDwEdEnTO$wBBp/3dGVY6ipaop5mNXikonn2mSS96`},
		{"passlib sha512_crypt, 300 bytes", strings.Repeat("x", 300), `$6$rounds=1000$cZdCmblVcX3iEla9$uq/awroIyS4VO76hzmR0HO4oyShbE1V8LSmqhVJNPgjaYO/j7aHol0PGzE3RecPGlxR0unNdABBwQMsnQDsV//`},
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, v := range append(published(), made()...) {
		h, err := foreign.Parse(v.hash)
		if err != nil {
			t.Errorf("%s: %s: %v", v.source, v.hash, err)
			continue
		}
		if !h.Verify([]byte(v.password)) {
			t.Errorf("%s: %s does not verify %q", v.source, v.hash, v.password)
		}
		work := h.Cost(len(v.password)).Work
		for _, wrong := range []string{v.password + "x", "X" + v.password, strings.ToUpper(v.password) + "!", ""} {
			if work > 5 {
				break // seconds, under the race detector
			}
			if wrong == v.password || h.Scheme == "bcrypt" && len(v.password) >= 72 && strings.HasPrefix(wrong, v.password) {
				continue // see TestCovers
			}
			if h.Verify([]byte(wrong)) {
				t.Errorf("%s: %s verifies %q", v.source, v.hash, wrong)
			}
			if work > 0.05 {
				break // one is enough
			}
		}
	}
}

// bcrypt takes 72 bytes and systems differ in whether they said so. What was not proved must not become the password.
func TestCovers(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name, hash string
		length     int
		covers     bool
	}{
		{"bcrypt, 72", `$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i`, 72, true},
		{"bcrypt, 73", `$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i`, 73, false},
		{"LDAP's bcrypt, 73", `{CRYPT}$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i`, 73, false},
		{"Django's bcrypt, 73", `bcrypt$$2b$04$MMRebWhadUA3Nri5yV0VguEt7Z2il1WR5OP1Ea21Yu0pCcwLdAqnG`, 73, false},
		{"Django's bcrypt_sha256, 73", `bcrypt_sha256$$2b$04$gmzq0PdVd8zmGjqF2uG0fOiVxZdTgC3Rub2Se9GTzZFtc7KlPTtia`, 73, true},
		{"WordPress, 1024", `$wp$2y$04$ZFDV/3X5o5xgdI7bFdHxauwYSvY7eq0QyHK3a79pnGmzEjzxHbPEC`, 1024, true},
		{"sha512crypt, 1024", `$6$rounds=1000$x$t8YjOVoWGJE0JAF3Vjt8FioVsZYJrS8jbbuaTNVnyaaASSz.ezQqIgyFp6kymoNZPQ43ws3pa4xgvxsM.w15X1`, 1024, true},
	} {
		h, err := foreign.Parse(v.hash)
		if err != nil || h.Covers(make([]byte, v.length)) != v.covers {
			t.Errorf("%s: covers %v, %v", v.name, !v.covers, err)
		}
	}
	h, err := foreign.Parse(`$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i`)
	if err != nil || !h.Verify([]byte(strings.Repeat("x", 72)+"another tail")) || h.Verify([]byte(strings.Repeat("x", 71)+"y")) {
		t.Errorf("bcrypt must take exactly 72 bytes, as PHP did: %v", err)
	}
}

// WordPress cuts white space off when a password is set and when it is typed in.
func TestVerify_wordPressTrims(t *testing.T) {
	t.Parallel()
	h, err := foreign.Parse(`$wp$2y$04$ZFDV/3X5o5xgdI7bFdHxauwYSvY7eq0QyHK3a79pnGmzEjzxHbPEC`)
	if err != nil || !h.Verify([]byte("\t correct horse \n")) || h.Verify([]byte("correct  horse")) {
		t.Errorf("%v", err)
	}
}
