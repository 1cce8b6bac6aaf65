# A base image out of a root file system made by docker/make-base. `docker import` would write
# today's date into the image's config; here the config's date is SOURCE_DATE_EPOCH.
FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/bin/bash"]
